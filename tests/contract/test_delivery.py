"""The payload and the progress of a delivery: they travel whole, sealed, and only under their own id."""

import hashlib
import json
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from postroom_contract.attachment import Attachment
from postroom_contract.delivery import Delivery, OnUnknown, Progress
from postroom_contract.encrypted_text import EncryptedText, password_place
from postroom_contract.errors import ArgumentException, PropertyNullException, SealException, SmtpCommandException
from postroom_contract.outcome import Partial, Refusal, from_record
from postroom_contract.sealing import Keyring
from tests.support.payloads import BLOCK_MESSAGE, BLOCK_SESSION, MAIL_KEYS, PASSWORD_KEYS, message_with, session_with

# Written once by version 1 and never again: what was queued or stored by any release must still open.
SEALED_BY_VERSION_1 = json.loads((Path(__file__).parent / "sealed" / "version_1.json").read_text())


def delivery(**parts: Any) -> Delivery:
    """A delivery of the block's message, with other parts."""
    return Delivery.accept({"session": BLOCK_SESSION, "message": BLOCK_MESSAGE, **parts})


RICH = message_with(
    To=[{"Name": "Jörg", "Address": "jörg@münchen.de"}],
    Bcc=["b@example.com"],
    Priority="Urgent",
    Subject=None,
    HtmlBody="<p>ü",
    Headers={"X-Own": "ü"},
    ReplyTo=["r@example.com"],
    EnvelopeFrom="bounces@example.com",
    MessageId="<own@example.com>",
    Attachments=["/a/b.pdf", Attachment(content=bytes(range(256)), name="c.bin", content_id="x@y")],
)


@pytest.mark.parametrize("message", [BLOCK_MESSAGE, RICH])
@pytest.mark.parametrize("session", [BLOCK_SESSION, session_with(credentials={"Anonymous": True})])
def test_a_delivery_travels_whole(message: dict[str, Any], session: dict[str, Any]) -> None:
    """What the worker opens equals what was sealed."""
    sent = delivery(message=message, session=session, close_session=True)

    assert Delivery.open(sent.seal(MAIL_KEYS), sent.id, MAIL_KEYS) == sent


def test_a_payload_is_bound_to_its_id_and_use() -> None:
    """It opens neither under another id nor as a progress, and a progress not as a payload."""
    sent = delivery()
    payload, progress = sent.seal(MAIL_KEYS), Progress().seal(sent.id, MAIL_KEYS)
    for attempt in (
        lambda: Delivery.open(payload, "other", MAIL_KEYS),
        lambda: Progress.open(payload, sent.id, MAIL_KEYS),
        lambda: Delivery.open(progress, sent.id, MAIL_KEYS),
        lambda: Progress.open(progress, "other", MAIL_KEYS),
        lambda: Delivery.open(payload, sent.id, Keyring({"m1": b"x" * 32})),
    ):
        with pytest.raises(SealException):
            attempt()


def test_ids_are_uuids_of_their_own() -> None:
    """Each delivery has another id, of the form of a Celery task id."""
    ids = {delivery().id for _ in range(50)}

    assert len(ids) == 50
    assert all(str(uuid.UUID(one)) == one for one in ids)


def test_the_message_id_is_the_callers_or_made_of_the_id() -> None:
    """Every attempt has the same one, under the sender's domain as it is on the wire."""
    assert delivery(message=RICH).message_id == "<own@example.com>"
    for sender, domain in {
        "a@example.com": "example.com",
        "a@münchen.de": "xn--mnchen-3ya.de",
        "a@[IPv6:::1]": "[IPv6:::1]",
    }.items():
        made = delivery(message=message_with(From=sender))
        assert made.message_id == f"<{made.id}@{domain}>"


def test_the_time_of_acceptance_has_a_zone_and_survives() -> None:
    """Date headers need the zone, and retries the same second."""
    sent = delivery()

    assert sent.accepted_at.tzinfo is not None
    assert Delivery.open(sent.seal(MAIL_KEYS), sent.id, MAIL_KEYS).accepted_at == sent.accepted_at


def test_session_details_decide_the_type_before_the_message() -> None:
    """Mistakes of both are told together; those of the session come first."""
    with pytest.raises(PropertyNullException) as caught:
        delivery(message=message_with(To=[{"Address": "a b"}]), session=session_with({"Host": None}))

    assert [mistake["property"] for mistake in caught.value.mistakes] == [
        "Session.ServerDetails.Host",
        "Message.To[0].Address",
    ]
    with pytest.raises(SmtpCommandException):
        delivery(message=message_with(To=[{"Address": "a b"}]))


NINE = datetime(2030, 3, 1, 8, tzinfo=UTC)
NOON = datetime(2030, 3, 1, 11, tzinfo=UTC)


def test_times_and_wishes_travel_whole() -> None:
    """Not before, not after, and what to do when nobody knows; what is left out or null has its default."""
    sent = delivery(send_at="2030-03-01T09:00:00+01:00", expires_at=NOON, on_unknown="hold")
    opened = Delivery.open(sent.seal(MAIL_KEYS), sent.id, MAIL_KEYS)

    assert (opened.send_at, opened.expires_at, opened.on_unknown) == (NINE, NOON, OnUnknown.HOLD)
    for plain in (delivery(), delivery(send_at=None, expires_at=None, on_unknown=None)):
        assert (plain.send_at, plain.expires_at, plain.on_unknown) == (None, None, OnUnknown.RESEND)


@pytest.mark.parametrize(
    ("wishes", "where", "said"),
    [
        ({"on_unknown": "retry"}, "OnUnknown", "OnUnknown is not valid. It is resend or hold."),
        ({"on_unknown": 1}, "OnUnknown", "It is resend or hold."),
        ({"on_unknown": ["hold"]}, "OnUnknown", "It is resend or hold."),
        ({"send_at": "2030-03-01T09:00:00"}, "SendAt", "It needs an offset from UTC"),
        ({"expires_at": "later"}, "ExpiresAt", "Write it as ISO 8601"),
        ({"send_at": NOON, "expires_at": NINE}, "ExpiresAt", "It lies before SendAt"),
        ({"send_at": NOON, "expires_at": NOON}, "ExpiresAt", "It lies before SendAt"),
        ({"id": "mine"}, "Id", "A receipt's id is a UUID"),
        ({"id": "0D6B2F6E-6A0E-4A52-8F43-4B2F7A3A9D11"}, "Id", "A receipt's id is a UUID"),
        ({"id": "{0d6b2f6e-6a0e-4a52-8f43-4b2f7a3a9d11}"}, "Id", "A receipt's id is a UUID"),
    ],
)
def test_a_wish_that_is_none_is_refused(wishes: dict[str, Any], where: str, said: str) -> None:
    """One mistake, at the property that has it, in words that say how to mend it."""
    with pytest.raises(ArgumentException) as caught:
        delivery(**wishes)

    (mistake,) = caught.value.mistakes
    assert mistake["property"] == where
    assert said in mistake["message"]


def test_mistakes_of_all_parts_are_told_together() -> None:
    """Session, then message, then the wishes."""
    with pytest.raises(PropertyNullException) as caught:
        delivery(session=session_with({"Host": None}), message=message_with(To=None), send_at="x", expires_at="y")

    told = [mistake["property"] for mistake in caught.value.mistakes]
    assert told == ["Session.ServerDetails.Host", "Message.To", "SendAt", "ExpiresAt"]


def fingerprint(**parts: Any) -> str:
    """By what a delivery is known again."""
    return delivery(**parts).fingerprints(MAIL_KEYS)[0]


def test_the_same_mail_has_the_same_fingerprint() -> None:
    """Id and time of acceptance are not asked for; other spellings of the same are the same."""
    again = {"from": "sender@gmail.com", "to": ["recipient@outlook.com"], "subject": "Example email subject"}

    assert fingerprint() == fingerprint()
    assert fingerprint(message=RICH, send_at=NINE) == fingerprint(message=RICH, send_at="2030-03-01T09:00:00+01:00")
    assert fingerprint(message=again | {"body": "Example email body"}) == fingerprint()
    assert fingerprint(close_session=False, on_unknown=None) == fingerprint()


def test_a_password_that_was_encrypted_anew_is_no_other_mail() -> None:
    """Each encryption of it is another text; it opens for the same server and user only."""

    def session(password: str) -> dict[str, Any]:
        place = {"host": "smtp.gmail.com", "port": 465, "username": "sender@gmail.com"}
        token = EncryptedText.encrypt(password, keyring=PASSWORD_KEYS, **place).token  # type: ignore[arg-type]
        return session_with(credentials={"Username": "sender@gmail.com", "Password": token})

    assert fingerprint(session=session("one")) == fingerprint(session=session("one")) == fingerprint()


DIFFERENCES: list[dict[str, Any]] = [
    {"message": message_with(Subject="Another")},
    {"message": message_with(Body="Another")},
    {"message": message_with(Bcc=["b@example.com"])},
    {"message": message_with(To=["recipient@outlook.com", "b@example.com"])},
    {"message": message_with(To=[{"Name": "R", "Address": "recipient@outlook.com"}])},
    {"message": message_with(From="other@gmail.com")},
    {"message": message_with(Priority="Urgent")},
    {"message": message_with(BodyFormat=1)},
    {"message": message_with(HtmlBody="<p>")},
    {"message": message_with(Headers={"X-Own": "1"})},
    {"message": message_with(ReplyTo=["r@example.com"])},
    {"message": message_with(MessageId="<own@example.com>")},
    {"message": message_with(EnvelopeFrom="bounces@example.com")},
    {"message": message_with(Attachments=["/a/b.pdf"])},
    {"message": message_with(Attachments=[Attachment(content=b"1", name="a")])},
    {"message": message_with(Attachments=[Attachment(content=b"2", name="a")])},
    {"session": session_with({"Host": "smtp2.gmail.com"})},
    {"session": session_with({"Port": 587})},
    {"session": session_with({"UseSsl": False})},
    {"session": session_with({"AllowCleartext": True})},
    {"session": session_with(credentials={"Anonymous": True})},
    {"session": session_with(credentials={**BLOCK_SESSION["Credentials"], "Username": "other@gmail.com"})},
    {"close_session": True},
    {"on_unknown": "hold"},
    {"send_at": NINE},
    {"send_at": NOON},
    {"expires_at": NINE},
    {"expires_at": NOON},
]


def test_whatever_is_asked_for_otherwise_changes_the_fingerprint() -> None:
    """Nothing that makes another mail passes for the same one."""
    prints = [fingerprint(), *(fingerprint(**parts) for parts in DIFFERENCES)]

    assert len(set(prints)) == len(DIFFERENCES) + 1


def test_without_the_keys_a_fingerprint_tells_nothing() -> None:
    """Whoever knows the mail word for word cannot find it in Redis; each key of the ring has its own."""
    both = Keyring({"m1": b"m" * 32, "m2": b"n" * 32})
    known = delivery()
    plain = known.model_dump_json(by_alias=True, exclude_none=True).encode()

    assert known.fingerprints(MAIL_KEYS) == known.fingerprints(both)[:1]
    assert len(set(known.fingerprints(both))) == 2
    assert known.fingerprints(Keyring({"m1": b"x" * 32})) != known.fingerprints(MAIL_KEYS)
    assert hashlib.sha256(plain).hexdigest()[:32] not in known.fingerprints(both)
    assert not any(b"outlook" in bytes.fromhex(one) for one in known.fingerprints(both))


PROGRESS = Progress(
    attempts=3,
    charged={"greylisted": 2},
    accepted=("a@example.com",),
    refused={"b@example.com": Refusal(code=550, enhanced="5.1.1", text="unknown")},
    unknown=("c@example.com",),
    in_doubt=("d@example.com",),
    possible_duplicate=True,
    error={"code": 1301, "facts": {"smtp_code": 550}},
)


def test_progress_travels_whole() -> None:
    """A retry knows what the attempts before it achieved; the first one knows nothing."""
    assert Progress.open(PROGRESS.seal("d1", MAIL_KEYS), "d1", MAIL_KEYS) == PROGRESS
    assert Progress.open(None, "d1", MAIL_KEYS) == Progress()


def test_only_the_undecided_are_sent_to_again() -> None:
    """Who was accepted, refused for good, or unknown for good is left out; who is in doubt is sent to once more."""
    everybody = ("a@example.com", "b@example.com", "c@example.com", "d@example.com")

    assert PROGRESS.remaining(everybody) == ("d@example.com",)
    assert Progress().remaining(everybody) == everybody


def test_a_password_sealed_by_version_1_still_opens() -> None:
    """Passwords stand in people's configuration for years."""
    stored = SEALED_BY_VERSION_1["password"]
    opened = EncryptedText(stored["sealed"]).open(
        Keyring.parse(SEALED_BY_VERSION_1["password_keys"]), password_place(**stored["server"])
    )

    assert opened == stored["text"]


def test_a_payload_sealed_by_version_1_still_opens() -> None:
    """What is queued while Postroom is upgraded is delivered all the same."""
    stored = SEALED_BY_VERSION_1["payload"]
    opened = Delivery.open(stored["sealed"], stored["id"], Keyring.parse(SEALED_BY_VERSION_1["keys"]))

    assert opened == Delivery.accept(stored["delivery"])
    assert opened.message.attachments[1].content == b"content"


def test_a_progress_sealed_by_version_1_still_opens() -> None:
    """A delivery that waits for its retry goes on after an upgrade."""
    stored = SEALED_BY_VERSION_1["progress"]
    opened = Progress.open(stored["sealed"], stored["id"], Keyring.parse(SEALED_BY_VERSION_1["keys"]))

    assert opened == Progress.accept(stored["progress"])
    assert opened.refused["b@example.com"].code == 550


def test_an_outcome_stored_by_version_1_still_opens() -> None:
    """A result can be asked for across an upgrade."""
    stored = SEALED_BY_VERSION_1["outcome"]
    opened = from_record(stored["record"], Keyring.parse(SEALED_BY_VERSION_1["keys"]))

    assert isinstance(opened, Partial)
    assert opened.as_dict() | {"error": None} == stored["outcome"] | {"error": None}
    assert (type(opened.error).__name__, opened.code) == (
        "SmtpCommandException",
        stored["outcome"]["error"]["error_code"],
    )

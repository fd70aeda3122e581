"""The payload and the progress of a delivery: they travel whole, sealed, and only under their own id."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from postroom_contract.attachment import Attachment
from postroom_contract.delivery import Delivery, Progress
from postroom_contract.encrypted_text import EncryptedText, password_place
from postroom_contract.errors import PropertyNullException, SealException, SmtpCommandException
from postroom_contract.outcome import Partial, Refusal, from_record
from postroom_contract.sealing import Keyring
from tests.support.payloads import BLOCK_MESSAGE, BLOCK_SESSION, MAIL_KEYS, message_with, session_with

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


PROGRESS = Progress(
    attempts=3,
    charged={"greylisted": 2},
    accepted=("a@example.com",),
    refused={"b@example.com": Refusal(code=550, enhanced="5.1.1", text="unknown")},
    unknown=("c@example.com",),
    error={"code": 1301, "facts": {"smtp_code": 550}},
)


def test_progress_travels_whole() -> None:
    """A retry knows what the attempts before it achieved; the first one knows nothing."""
    assert Progress.open(PROGRESS.seal("d1", MAIL_KEYS), "d1", MAIL_KEYS) == PROGRESS
    assert Progress.open(None, "d1", MAIL_KEYS) == Progress()


def test_only_the_undecided_are_sent_to_again() -> None:
    """Who was accepted, refused for good, or may have got it is left out."""
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

"""Outcomes: what they tell, what of them may be stored in the clear, and that both forms mean the same."""

import json
from typing import Any

import pytest

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import (
    EmailSessionException,
    PostroomError,
    SealException,
    SettingsException,
    SmtpCommandException,
    UnknownOutcomeException,
)
from postroom_contract.outcome import (
    OUTCOMES,
    Cancelled,
    Failed,
    Outcome,
    Partial,
    Refusal,
    Report,
    Sent,
    State,
    Unknown,
    error_of,
    from_record,
    open_facts,
    report_of_error,
)
from postroom_contract.sealing import Keyring
from tests.support.payloads import MAIL_KEYS

MAIL_KEYS_TEXT = "m1:bW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW1tbW0="
REFUSED = SmtpCommandException(None, {"command": "RCPT", "smtp_code": 550, "text": "b@example.com unknown"})


def report(**parts: Any) -> Report:
    """A report about two recipients."""
    return Report.accept(
        {
            "message_id": "<d1@example.com>",
            "accepted": ["a@example.com"],
            "refused": {"b@example.com": {"code": 550, "enhanced": "5.1.1", "text": "b@example.com unknown"}},
            "attempts": 2,
            "error": report_of_error(REFUSED),
            **parts,
        }
    )


@pytest.fixture
def partial() -> Partial:
    """One recipient accepted, one refused."""
    return Partial("d1", int(ErrorCode.COMMAND_REFUSED), report=report())


def test_every_final_state_has_its_outcome() -> None:
    """The six final states, each with the class of its name."""
    assert {state.value: kind.__name__.lower() for state, kind in OUTCOMES.items()} == {
        name: name for name in ("sent", "partial", "failed", "unknown", "cancelled", "expired")
    }


@pytest.mark.parametrize("kind", OUTCOMES.values())
def test_an_outcome_survives_its_record(kind: type[Outcome]) -> None:
    """Sealed, written as JSON and read back, it is equal and tells the same."""
    outcome = kind("d1", 1301, report=report())
    record = json.loads(json.dumps(outcome.seal(MAIL_KEYS)))
    again = from_record(record, MAIL_KEYS)

    assert type(again) is kind
    assert again == outcome
    assert hash(again) == hash(outcome)
    assert again.as_dict() == outcome.as_dict()


def test_what_an_outcome_tells(partial: Partial) -> None:
    """Recipients, attempts, message id and the typed error."""
    assert (partial.state, partial.id, partial.code) == (State.PARTIAL, "d1", 1301)
    assert (partial.message_id, partial.attempts, partial.possible_duplicate) == ("<d1@example.com>", 2, False)
    assert partial.accepted == ["a@example.com"]
    assert partial.refused == {"b@example.com": Refusal(code=550, enhanced="5.1.1", text="b@example.com unknown")}
    assert isinstance(partial.error, SmtpCommandException)
    assert partial.error.message == "The server refused RCPT: 550 b@example.com unknown."


def test_the_json_form(partial: Partial) -> None:
    """The shape that `postroom status` prints."""
    assert partial.as_dict() == {
        "id": "d1",
        "state": "partial",
        "message_id": "<d1@example.com>",
        "accepted": ["a@example.com"],
        "refused": {"b@example.com": {"code": 550, "enhanced": "5.1.1", "text": "b@example.com unknown"}},
        "attempts": 2,
        "possible_duplicate": False,
        "error": REFUSED.as_dict(),
    }
    assert Sent("d1", report=Report()).as_dict()["error"] is None


def test_a_record_shows_id_state_and_code_only(partial: Partial) -> None:
    """All else is sealed: no address, no text of a reply."""
    record = partial.seal(MAIL_KEYS)

    assert {name: value for name, value in record.items() if name != "sealed"} == {
        "v": 1,
        "id": "d1",
        "state": "partial",
        "code": 1301,
    }
    assert "example" not in json.dumps(record)


@pytest.mark.parametrize("change", [{"id": "d2"}, {"state": "sent"}])
def test_a_record_that_was_changed_does_not_open(partial: Partial, change: dict[str, str]) -> None:
    """Id and state are bound to the sealed part: nobody turns a failure into a success."""
    forged = from_record({**partial.seal(MAIL_KEYS), **change}, MAIL_KEYS)  # type: ignore[typeddict-item]
    with pytest.raises(SealException):
        _ = forged.accepted


def test_an_unsealed_outcome_cannot_be_stored(partial: Partial) -> None:
    """Nothing leaves the process in the clear by forgetting to seal."""
    with pytest.raises(ValueError, match="sealed only"):
        _ = partial.record


def test_without_a_mailer_the_keys_of_the_environment_open_it(
    partial: Partial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is how a result read through Celery alone opens; without keys the mistake is told."""
    record = partial.seal(MAIL_KEYS)
    monkeypatch.setenv("POSTROOM_KEYS", MAIL_KEYS_TEXT)
    assert from_record(record).accepted == ["a@example.com"]
    monkeypatch.delenv("POSTROOM_KEYS")
    with pytest.raises(SettingsException):
        _ = from_record(record).accepted


def test_equality(partial: Partial) -> None:
    """The same record read twice is equal without keys; otherwise id, state, code and report decide."""
    record = partial.seal(MAIL_KEYS)

    assert from_record(record) == from_record(record)
    assert from_record(record, MAIL_KEYS) == Partial("d1", 1301, report=report())
    assert partial != Partial("d2", 1301, report=report())
    assert partial != Partial("d1", 1302, report=report())
    assert partial != Partial("d1", 1301, report=report(attempts=3))
    assert partial != Failed("d1", 1301, report=report())
    assert partial != "partial"
    assert Sent("d1", report=report()) != Sent("d1", report=report(attempts=3))
    other = Partial("d1", 1301, report=report(attempts=3))
    other.seal(MAIL_KEYS)
    assert from_record(record, MAIL_KEYS) != from_record(other.record, MAIL_KEYS)


def test_the_error_that_celery_may_store(partial: Partial) -> None:
    """Public facts and the sealed outcome: type and code for everybody, the rest with the keys."""
    stored = partial.sealed_error(MAIL_KEYS)

    assert type(stored) is SmtpCommandException
    assert (stored.error_code, stored.smtp_code) == (1301, 550)
    assert stored.facts.keys() == {"smtp_code", "outcome"}
    assert "example" not in json.dumps(stored.args)
    assert Sent("d1", report=Report()).sealed_error(MAIL_KEYS) is None


def test_a_stored_error_opens_its_record_when_asked(partial: Partial, monkeypatch: pytest.MonkeyPatch) -> None:
    """`message` has host, reply and address where the keys are; `str` never; without keys both are the plain sentence."""
    stored = partial.sealed_error(MAIL_KEYS)
    assert stored is not None
    monkeypatch.setenv("POSTROOM_KEYS", MAIL_KEYS_TEXT)
    assert stored.message == REFUSED.message
    assert str(stored) == "The server refused a command: 550."
    monkeypatch.setenv("POSTROOM_KEYS", "m1:" + "A" * 43 + "=")
    assert stored.message == str(stored)


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Sent("d", report=Report()), None),
        (Partial("d", 1301, report=report()), None),
        (Failed("d", 1301, report=report()), SmtpCommandException),
        (Unknown("d", 1303, report=report(error=report_of_error(UnknownOutcomeException()))), UnknownOutcomeException),
        (Cancelled("d", report=Report()), None),
    ],
)
def test_what_to_raise_for_an_outcome(outcome: Outcome, kind: type[PostroomError] | None) -> None:
    """Nothing where somebody was accepted; otherwise the typed error."""
    assert type(error_of(outcome)) is (kind or type(None))


def test_open_facts_needs_an_error_and_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """All facts, None for an outcome without error, None without keys."""
    error = EmailSessionException(101, {"host": "mail.example"})
    failed = Failed("d", 101, report=Report(error=report_of_error(error))).seal(MAIL_KEYS)
    monkeypatch.setenv("POSTROOM_KEYS", MAIL_KEYS_TEXT)
    assert open_facts(failed) == {"host": "mail.example"}
    assert open_facts(Sent("d", report=Report()).seal(MAIL_KEYS)) is None
    assert open_facts(Sent("d", report=Report()).seal(Keyring({"m2": b"2" * 32}))) is None

"""Nothing private shows: no repr or str of a model, error or outcome holds what a caller put into it.

Every property gets a canary, in valid and in damaged input; none may be found in anything that logs, events or Flower
could print.
"""

import json
import traceback
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from postroom_contract.delivery import Delivery, Progress
from postroom_contract.encrypted_text import EncryptedText
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import PUBLIC_FACTS, PostroomError, make_error
from postroom_contract.outcome import OUTCOMES, Outcome, Refusal, Report, State
from tests.support.payloads import MAIL_KEYS, PASSWORD_KEYS

CANARY = "canary"
WORD = st.text("abcdefgh", min_size=1, max_size=8).map(lambda word: f"{CANARY}{word}")
ADDRESS = WORD.map(lambda word: {"Name": f"{word} name", "Address": f"{word}@{word}.example"})
PASSWORD = EncryptedText.encrypt(CANARY, keyring=PASSWORD_KEYS).token

MESSAGES = st.fixed_dictionaries(
    {
        "To": st.lists(ADDRESS, min_size=1, max_size=3),
        "From": ADDRESS,
        "Cc": st.lists(ADDRESS, max_size=2),
        "Bcc": st.lists(ADDRESS, max_size=2),
        "Priority": st.sampled_from([None, 0, "Urgent"]),
        "Subject": WORD,
        "BodyFormat": st.none(),
        "Body": WORD,
        "Attachments": st.lists(
            WORD | st.builds(lambda word: {"Content": "AAAA", "Name": word, "ContentId": word}, WORD), max_size=2
        ),
        "HtmlBody": WORD,
        "ReplyTo": st.lists(ADDRESS, max_size=1),
        "Headers": st.dictionaries(st.just("X-Own"), WORD),
        "EnvelopeFrom": ADDRESS,
        "MessageId": WORD.map(lambda word: f"<{word}@{word}>"),
    }
)
SESSIONS = st.fixed_dictionaries(
    {
        "ServerDetails": st.fixed_dictionaries(
            {"Host": WORD, "Port": st.integers(1, 65535), "UseSsl": st.booleans(), "AllowCleartext": st.booleans()}
        ),
        "Credentials": st.fixed_dictionaries({"Domain": WORD, "Username": WORD, "Password": st.just(PASSWORD)}),
    }
)
# What a caller's slip may look like in the place of anything; each still holds the canary. A key that looks like the name
# of a property or header is told by its name, as a slip in spelling must be: no such key is here.
DAMAGE = st.sampled_from(
    [
        f"{CANARY}\r\n{CANARY}",
        f" {CANARY}\0",
        [CANARY],
        {f"{CANARY} {CANARY}": CANARY},
        {f"{CANARY}@example.com": [CANARY]},
        {"Address": f"{CANARY} {CANARY}"},
        {"Path": f" {CANARY}"},
        f"/{CANARY * 100}",
        CANARY * 2000,
        {"Password": CANARY, "Username": [CANARY]},
    ]
)


def printed(thing: object) -> str:
    """All that printing, formatting or logging a thing could show."""
    return f"{thing} {thing!r} {[thing]} {thing!s:>5}"


def parts(model: object) -> Iterator[BaseModel | EncryptedText]:
    """A model and all models inside it."""
    if isinstance(model, EncryptedText):
        yield model
    if isinstance(model, BaseModel):
        yield model
        for name in type(model).model_fields:
            value = getattr(model, name)
            for part in value if isinstance(value, tuple) else (value,):
                yield from parts(part)


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in nested data."""
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


def with_damage(data: Any, path: tuple[Any, ...], damage: Any) -> Any:
    """A copy of nested data with something else in one place."""
    copy = json.loads(json.dumps(data))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = damage
    return copy


@given(MESSAGES, SESSIONS)
def test_models_show_nothing_of_what_they_hold(message: dict[str, Any], session: dict[str, Any]) -> None:
    """Neither the delivery nor any model inside it prints a canary."""
    delivery = Delivery.accept({"Message": message, "Session": session})

    for part in parts(delivery):
        assert CANARY not in printed(part)
        assert "v1." not in printed(part)


@given(MESSAGES, SESSIONS, DAMAGE, st.data())
def test_errors_show_nothing_of_what_was_refused(
    message: dict[str, Any], session: dict[str, Any], damage: Any, data: st.DataObject
) -> None:
    """Wherever the damage is done, the error, its list and its whole traceback are silent about it."""
    whole = {"Message": message, "Session": session}
    error = refusal_of(with_damage(whole, data.draw(st.sampled_from(list(places(whole)))), damage))
    if error is not None:
        shown = f"{printed(error)} {error.mistakes} {error.public_facts()} {''.join(traceback.format_exception(error))}"

        assert CANARY not in shown.lower()
        assert error.mistakes


def refusal_of(data: Any) -> PostroomError | None:
    """The error for a delivery, or None where some damage is no mistake."""
    try:
        Delivery.accept(data)
    except PostroomError as error:
        return error
    return None


@given(st.sampled_from(list(ErrorCode)), st.dictionaries(st.text(max_size=8), WORD), WORD)
def test_errors_show_allowed_facts_only(code: ErrorCode, more: dict[str, str], secret: str) -> None:
    """Host, path, address, reply text and whatever fact comes later stay out of str and repr."""
    private = dict.fromkeys(("host", "path", "address", "text", "command", "username", "receipt_id"), secret)
    facts = {name: value for name, value in (more | private).items() if name not in PUBLIC_FACTS}
    facts = {name: value for name, value in facts.items() if name not in {"detail", "mistakes", "port", "url"}}
    error = make_error(code, {**facts, "reason": "refused", "smtp_code": 550})

    assert CANARY not in f"{printed(error)} {error.public_facts()}"


@given(st.sampled_from(list(OUTCOMES)), WORD)
def test_outcomes_show_counts_only(state: State, word: str) -> None:
    """Reports, refusals, progress, outcomes, their records and stored errors: sealed or not, none prints a canary."""
    refusal = Refusal(code=550, enhanced="5.1.1", text=word)
    report = Report(
        message_id=f"<{word}@x>",
        accepted=(word,),
        refused={word: refusal},
        error={"code": 1301, "facts": {"host": word, "text": word, "path": word, "command": word}},
    )
    progress = Progress(accepted=(word,), refused={word: refusal}, unknown=(word,))
    outcome: Outcome = OUTCOMES[state]("d1", 1301, report=report)
    stored = outcome.sealed_error(MAIL_KEYS)
    assert stored is not None

    for thing in (refusal, report, progress, outcome, outcome.error, stored, outcome.record, stored.args):
        assert CANARY not in printed(thing)
    assert CANARY not in "".join(traceback.format_exception(stored))

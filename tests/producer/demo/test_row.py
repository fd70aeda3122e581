"""The judgement of a row, and of the whole: what is as expected passes, and nothing else does."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from postroom.demo.arrival import Copy
from postroom.demo.examples import Example, Expected, Place
from postroom.demo.row import Report, Row, ServerSummary
from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import EmailSessionException, SmtpCommandException
from postroom_contract.outcome import State
from tests.producer.demo.copies import ASKED, COPY

TOLD: dict[str, Any] = {
    "state": "sent",
    "attempts": 1,
    "accepted": list(COPY.record.recipients),
    "error": None,
}
SENT = Row(Example("letter", ASKED), TOLD, [COPY], 0.1)

ERROR = {"type": "EmailSessionException", "error_code": 300, "category": "UserCredentials"}
EXPECTED = Expected(State.FAILED, EmailSessionException, ErrorCode.INVALID_USER_CREDENTIALS)
FAILED_TOLD = {"state": "failed", "attempts": 1, "accepted": [], "error": ERROR}
FAILED = Row(Example("wrong password", ASKED, expected=EXPECTED), FAILED_TOLD, [], 0.1)

SERVER = ServerSummary(Place.TLS, 465, messages=8, connections=3, logins=3, refused_logins=1, quits=3)


@pytest.mark.parametrize("row", [SENT, FAILED], ids=["sent", "failed"])
def test_row_that_is_as_expected_has_no_mistakes(row: Row) -> None:
    """Outcome and server's copy agree with what was expected."""
    assert row.mistakes == []


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ({"state": "failed"}, "state"),
        ({"attempts": 2}, "attempts"),
        ({"error": ERROR}, "error type"),
        ({"accepted": []}, "the outcome names other recipients"),
    ],
    ids=["state", "attempts", "error", "recipients"],
)
def test_outcome_that_tells_something_else_is_a_mistake(told: dict[str, Any], what: str) -> None:
    """However right the copy is."""
    assert replace(SENT, told={**TOLD, **told}).mistakes[0].startswith(what)


@pytest.mark.parametrize(
    ("error", "what"),
    [
        ({"type": SmtpCommandException.__name__}, "error type"),
        ({"error_code": 100}, "error code"),
        ({"category": "Socket"}, "error category"),
    ],
    ids=["type", "code", "category"],
)
def test_failure_for_another_reason_is_a_mistake(error: dict[str, Any], what: str) -> None:
    """It is not enough that something failed."""
    row = replace(FAILED, told={**FAILED_TOLD, "error": {**ERROR, **error}})

    assert [mistake.partition(":")[0] for mistake in row.mistakes] == [what]


@pytest.mark.parametrize(
    ("row", "copies", "complaint"),
    [
        (SENT, [], "0 copies instead of 1"),
        (SENT, [COPY, COPY], "2 copies instead of 1"),
        (FAILED, [COPY], "1 copies instead of 0"),
        (SENT, [replace(COPY, place=Place.STARTTLS)], "arrived at the STARTTLS port"),
        (SENT, [replace(COPY, tls_version=None)], "TLS"),
    ],
    ids=["lost", "doubled", "sent all the same", "elsewhere", "different"],
)
def test_servers_have_the_last_word(row: Row, copies: Sequence[Copy], complaint: str) -> None:
    """However right the outcome is."""
    assert [mistake for mistake in replace(row, copies=copies).mistakes if complaint in mistake]


def test_report_without_mistakes_is_as_expected() -> None:
    """Its JSON says so, and holds every row and every server."""
    told = Report([SENT, FAILED], [SERVER], 1.0).as_dict()

    assert json.loads(json.dumps(told)) == told
    assert told["as_expected"]
    assert [row["asked"] for row in told["rows"]] == ["letter", "wrong password"]
    assert told["servers"][0]["messages"] == 8


@pytest.mark.parametrize(
    ("report", "complaint"),
    [
        (Report([replace(SENT, copies=[])], [SERVER], 1.0), "letter: "),
        (Report([SENT], [replace(SERVER, refused_logins=2)], 1.0), "2 logins"),
        (Report([SENT], [replace(SERVER, quits=1)], 1.0), "2 connections ended without QUIT"),
    ],
    ids=["row", "login tried again", "no goodbye"],
)
def test_report_names_what_is_not_as_expected(report: Report, complaint: str) -> None:
    """One mistake anywhere is enough."""
    assert not report.as_dict()["as_expected"]
    assert [mistake for mistake in report.mistakes if complaint in mistake]

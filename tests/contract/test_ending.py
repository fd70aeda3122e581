"""What a delivery ends as: the precedence of final states, by table."""

from typing import Any

import pytest

from postroom_contract.delivery import Progress
from postroom_contract.ending import end
from postroom_contract.outcome import Cancelled, Expired, Failed, Outcome, Partial, Refusal, Sent, Unknown

A, B = "a@example.com", "b@example.com"
CANCELLED = {"code": 1304, "facts": {}}
EXPIRED = {"code": 1305, "facts": {}}
REFUSED = {"code": 1301, "facts": {"command": "RCPT", "smtp_code": 550}}
NO_SUCH = {B: Refusal(code=550, enhanced="5.1.1", text="No such user")}

# What is known, of how many recipients (None: the caller does not know), and what it ends as, with which code.
TABLE: list[tuple[str, dict[str, Any], int | None, type[Outcome], int | None]] = [
    ("everybody accepted", {"accepted": (A, B)}, 2, Sent, None),
    ("everybody accepted, an old error", {"accepted": (A, B), "error": REFUSED}, 2, Sent, None),
    ("everybody accepted at last", {"accepted": (A,), "in_doubt": (A,), "possible_duplicate": True}, 1, Sent, None),
    ("one refused", {"accepted": (A,), "refused": NO_SUCH, "error": REFUSED}, 2, Partial, 1301),
    ("one called back", {"accepted": (A,), "error": CANCELLED}, None, Partial, 1304),
    ("one too late", {"accepted": (A,), "error": EXPIRED}, 2, Partial, 1305),
    ("nobody accepted", {"refused": NO_SUCH, "error": REFUSED}, 1, Failed, 1301),
    ("all called back", {"error": CANCELLED}, None, Cancelled, 1304),
    ("all too late", {"error": EXPIRED}, 2, Expired, 1305),
    ("refused before it was called back", {"refused": NO_SUCH, "error": REFUSED}, None, Failed, 1301),
    ("nobody, and no reason", {}, 1, Failed, None),
    ("unknown for good", {"unknown": (A,)}, 1, Unknown, 1303),
    ("in doubt and given up", {"in_doubt": (A,), "error": CANCELLED}, None, Unknown, 1303),
    ("in doubt and too late", {"in_doubt": (A,), "error": EXPIRED}, 1, Unknown, 1303),
    ("one in doubt, one accepted", {"accepted": (B,), "in_doubt": (A,)}, 2, Unknown, 1303),
    ("one unknown, one refused", {"unknown": (A,), "refused": NO_SUCH, "error": REFUSED}, 2, Unknown, 1303),
]


@pytest.mark.parametrize(("known", "recipients", "kind", "code"), [row[1:] for row in TABLE], ids=[r[0] for r in TABLE])
def test_precedence(known: dict[str, Any], recipients: int | None, kind: type[Outcome], code: int | None) -> None:
    """Any doubt wins; then all, some or none accepted; of none, why decides."""
    outcome = end("d1", Progress(**known), recipients=recipients, message_id="<m@example.com>")

    assert (type(outcome), outcome.code) == (kind, code)
    assert (outcome.error is None) == (code is None)
    assert (outcome.id, outcome.message_id) == ("d1", "<m@example.com>")


def test_everything_that_is_known_is_told() -> None:
    """Recipients, attempts and the warning go into the outcome; who was in doubt and accepted later is not unknown."""
    known = Progress(
        attempts=3,
        accepted=(A,),
        refused=NO_SUCH,
        unknown=("c@example.com",),
        in_doubt=(A, "c@example.com", "d@example.com"),
        possible_duplicate=True,
    )
    outcome = end("d1", known, recipients=4)

    assert (outcome.accepted, outcome.refused, outcome.attempts) == ([A], NO_SUCH, 3)
    assert outcome.unknown == ["c@example.com", "d@example.com"]
    assert outcome.possible_duplicate
    assert outcome.message_id is None

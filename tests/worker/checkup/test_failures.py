"""The table from errors of sessions to findings."""

from __future__ import annotations

import pytest

from postroom_contract.error_codes import ErrorCode
from postroom_contract.errors import make_error
from postroom_contract.finding_codes import EXPLANATIONS, FindingCode
from postroom_worker.checkup.failures import _FINDINGS, finding_of


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (ErrorCode.INVALID_HOST, "dns_temporary", FindingCode.HOST_UNRESOLVED),
        (ErrorCode.INVALID_PORT, "refused", FindingCode.PORT_CLOSED),
        (ErrorCode.SSL_UNSUPPORTED, "protocol_mismatch", FindingCode.TLS_FAILED),
        (ErrorCode.INVALID_USER_CREDENTIALS, None, FindingCode.LOGIN_REFUSED),
    ],
)
def test_number_and_reason_decide(code: ErrorCode, reason: str | None, expected: FindingCode) -> None:
    """A reason without a row of its own goes by its number."""
    assert finding_of(make_error(code, {"reason": reason, "port": 25}), "shop").code is expected


def test_the_servers_text_is_left_out() -> None:
    """Numbers only: texts quote addresses."""
    facts = {"smtp_code": 535, "enhanced_code": "5.7.8", "text": "canary@example.com", "host": "canary.example"}
    finding = finding_of(make_error(ErrorCode.INVALID_USER_CREDENTIALS, facts), "shop")

    assert "535 5.7.8" in finding.what
    assert "canary" not in str(finding.as_dict())


def test_each_number_has_a_finding_for_any_reason() -> None:
    """And no row leads to something that is in order."""
    assert {code for code, _ in _FINDINGS} == {code for code, reason in _FINDINGS if reason is None}
    assert all(EXPLANATIONS[code].severity != "ok" for code in _FINDINGS.values())

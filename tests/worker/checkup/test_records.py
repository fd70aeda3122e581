"""The reading of SPF, DMARC and DKIM records, from a name server on loopback."""

from __future__ import annotations

import asyncio

import pytest

from postroom_worker.checkup.records import check_records
from tests.support.dns_server import DnsServer

SPF = {"mail.example.com": ["v=spf1 ip4:192.0.2.1 ~all"], "example.com": []}


def check(zone: dict[str, list[str]], *selectors: str) -> dict[str, object]:
    """Facts by code of what is found about mail.example.com."""
    with DnsServer(zone) as server:
        found = asyncio.run(check_records("mail.example.com", selectors, ("127.0.0.1", server.port)))
    return {finding.code: finding.facts.get("policy") for finding in found}


@pytest.mark.parametrize(
    ("record", "code", "policy"),
    [
        ("v=spf1 ~all", "spf_found", "~all"),
        ("V=SPF1 redirect=other.example", "spf_found", "redirect=other.example"),
        ("v=spf1 ip4:192.0.2.1", "spf_found", "?all"),
        ("v=spf1 all", "spf_open", "all"),
        ("v=spf10 -all", "spf_missing", None),
    ],
)
def test_spf(record: str, code: str, policy: str | None) -> None:
    """What it says of all other servers is told."""
    assert check({"mail.example.com": [record]}).get(code, "absent") == policy


def test_dmarc_is_looked_for_upwards() -> None:
    """A domain above may speak for this one, by `sp` where it has it, and the nearest counts."""
    above = {"_dmarc.example.com": ["v=DMARC1; p=reject; sp=none"]}

    assert check({**SPF, **above})["dmarc_none"] == "none"
    assert check({**SPF, "_dmarc.example.com": ["v=DMARC1;p=reject"]})["dmarc_found"] == "reject"
    assert (
        check({**SPF, **above, "_dmarc.mail.example.com": ["v = DMARC1; p=Quarantine"]})["dmarc_found"] == "quarantine"
    )
    assert "dmarc_missing" in check({**SPF, "_dmarc.com": ["v=DMARC1; p=reject"]}), "the top speaks for nobody"
    assert "dmarc_broken" in check({**SPF, "_dmarc.example.com": ["v=DMARC1; p=reject", "v=DMARC1; p=none"]})


def test_each_selector_is_looked_for() -> None:
    """One has a key, one has none; without a selector that is told."""
    zone = {**SPF, "a._domainkey.mail.example.com": ["k=rsa; p=MIGf"]}

    assert {"dkim_found", "dkim_missing"} <= check(zone, "a", "b").keys()
    assert "dkim_unchecked" in check(zone)

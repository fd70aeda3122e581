"""The check of a sender's domain: the SPF, DKIM and DMARC records that receivers judge its mail by.

Owns the use of dnspython and the reading of these records as far as a sender's operator can get them wrong. It does not
follow SPF's includes: whether the mail server's address is in them only a receiver sees.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence

import dns.asyncresolver
import dns.exception
import dns.resolver

from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode

# To one server, and to all of them: a person waits.
TIMEOUT_S = 1.5
LIFETIME_S = 4.0
# How many names up the tree a DMARC record is looked for, as the walk of DMARCbis has it.
MOST_LABELS = 8

_ALL = re.compile(r"([+?~-]?)all", re.IGNORECASE)
_POLICIES = {"none", "quarantine", "reject"}


class _Unanswered(Exception):
    """No name server gave an answer."""


class _NoDomain(Exception):
    """There is no such name."""


async def check_records(domain: str, selectors: Sequence[str], resolver: tuple[str, int] | None) -> list[Finding]:
    """What receivers see of a domain.

    Args:
        domain: of the sender, in A-labels.
        selectors: names of DKIM keys, as the provider told them.
        resolver: IP address and port of the name server to ask; None for this machine's.
    """
    try:
        ask = _Resolver(resolver)
    except dns.resolver.NoResolverConfiguration:
        return [Finding(FindingCode.RECORDS_UNANSWERED, domain, {"record": "SPF"})]
    try:
        spf = await _spf(ask, domain)
    except _NoDomain:
        return [Finding(FindingCode.DOMAIN_UNKNOWN, domain)]
    checks = [_dmarc(ask, domain), *(_dkim(ask, domain, selector) for selector in selectors)]
    findings = [spf, *await asyncio.gather(*checks)]
    if not selectors:
        findings.append(Finding(FindingCode.DKIM_UNCHECKED, domain))
    return findings


class _Resolver:
    """Asks for TXT records."""

    def __init__(self, address: tuple[str, int] | None) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=address is None)
        self._resolver.timeout = TIMEOUT_S
        self._resolver.lifetime = LIFETIME_S
        if address is not None:
            host, self._resolver.port = address
            self._resolver.nameservers = [host]

    async def texts(self, name: str) -> list[str]:
        try:
            answer = await self._resolver.resolve(name, "TXT", search=False)
        except dns.resolver.NXDOMAIN:
            raise _NoDomain from None
        except dns.resolver.NoAnswer:
            return []
        except (dns.exception.DNSException, OSError) as away:
            raise _Unanswered from away
        return [b"".join(row.strings).decode("ascii", "replace") for row in answer]


async def _spf(ask: _Resolver, domain: str) -> Finding:
    try:
        records = [text for text in await ask.texts(domain) if text.lower().split(" ")[0] == "v=spf1"]
    except _Unanswered:
        return Finding(FindingCode.RECORDS_UNANSWERED, domain, {"record": "SPF"})
    if len(records) != 1:
        code = FindingCode.SPF_SEVERAL if records else FindingCode.SPF_MISSING
        return Finding(code, domain, {"count": len(records)})
    terms = records[0].split()[1:]
    ends = [term for term in terms if _ALL.fullmatch(term)]
    others = [term for term in terms if term.lower().startswith("redirect=")]
    policy = (ends or others or ["?all"])[0]
    # Without a sign it is a plus (RFC 7208 section 4.6.2).
    is_open = policy.lower() in {"all", "+all"}
    return Finding(FindingCode.SPF_OPEN if is_open else FindingCode.SPF_FOUND, domain, {"policy": policy})


async def _dmarc(ask: _Resolver, domain: str) -> Finding:
    try:
        async for name, records in _dmarc_upwards(ask, domain):
            if records:
                return _judge_dmarc(domain, records, is_inherited=name != domain)
    except _Unanswered:
        return Finding(FindingCode.RECORDS_UNANSWERED, domain, {"record": "DMARC"})
    return Finding(FindingCode.DMARC_MISSING, domain)


async def _dmarc_upwards(ask: _Resolver, domain: str) -> AsyncIterator[tuple[str, list[str]]]:
    """The domain's own records, then those of the domains above it, short of the top."""
    labels = domain.split(".")
    for start in range(min(len(labels) - 1, MOST_LABELS)):
        name = ".".join(labels[start:])
        try:
            texts = await ask.texts(f"_dmarc.{name}")
        except _NoDomain:
            texts = []
        yield name, [text for text in texts if text.replace(" ", "").upper().startswith("V=DMARC1")]


def _judge_dmarc(domain: str, records: Sequence[str], *, is_inherited: bool) -> Finding:
    tags = _tags(records[0])
    policy = (tags.get("sp") if is_inherited else None) or tags.get("p", "")
    if len(records) > 1 or policy.lower() not in _POLICIES:
        return Finding(FindingCode.DMARC_BROKEN, domain)
    is_none = policy.lower() == "none"
    return Finding(FindingCode.DMARC_NONE if is_none else FindingCode.DMARC_FOUND, domain, {"policy": policy.lower()})


async def _dkim(ask: _Resolver, domain: str, selector: str) -> Finding:
    try:
        texts = await ask.texts(f"{selector}._domainkey.{domain}")
    except _NoDomain:
        texts = []
    except _Unanswered:
        return Finding(FindingCode.RECORDS_UNANSWERED, domain, {"record": "DKIM"})
    keys = [tags["p"] for tags in map(_tags, texts) if "p" in tags]
    # An empty key says that there was one (RFC 6376 section 3.6.1).
    code = FindingCode.DKIM_FOUND if any(keys) else FindingCode.DKIM_REVOKED
    return Finding(code if keys else FindingCode.DKIM_MISSING, domain, {"selector": selector})


def _tags(record: str) -> dict[str, str]:
    parts = (part.partition("=") for part in record.split(";"))
    return {name.strip().lower(): value.strip() for name, sign, value in parts if sign}

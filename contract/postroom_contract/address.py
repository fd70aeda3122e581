"""Mail addresses: the form of RFC 5321, accepted or refused, never repaired.

Owns the grammar of Mailbox (RFC 5321 section 4.1.2) with its limits, the A-label form of international domains, and
the question whether an address needs SMTPUTF8 (RFC 6531). How an address looks in a header is the composer's business.
"""

from __future__ import annotations

import ipaddress
import re
from functools import cached_property

import idna
from pydantic import field_validator, model_validator

from postroom_contract.error_codes import ErrorCode
from postroom_contract.refusal import ContractModel, refuse
from postroom_contract.text import has_control_characters, looks_encoded

# RFC 5321 section 4.5.3.1.1.
MOST_LOCAL_OCTETS = 64
# RFC 5321 section 4.5.3.1.3 allows a path of 256 with its angle brackets.
MOST_ADDRESS_OCTETS = 254
# A display name has to fit a header line several times over; RFC 5322 section 2.1.1 ends a line at 998.
MOST_NAME_CHARACTERS = 320

# RFC 5321's atext and, by RFC 6531, any non-ASCII character; Unicode's blanks (\s) are somebody's slip of the keyboard.
_ATEXT = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\x7f\s])"
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED_STRING = re.compile(r'"(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*"')
_DOMAIN = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)


class EmailAddress(ContractModel):
    """A mailbox and, perhaps, the name shown beside it."""

    name: str | None = None
    address: str

    @model_validator(mode="before")
    @classmethod
    def _bare_address(cls, data: object) -> object:
        """Let a plain string stand for an address without a name."""
        return {"address": data} if isinstance(data, str) else data

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str | None) -> str | None:
        if name is not None and has_control_characters(name):
            raise refuse(ErrorCode.INVALID_ARGUMENT, "control_characters")
        if name is not None and len(name) > MOST_NAME_CHARACTERS:
            raise refuse(ErrorCode.INVALID_ARGUMENT, "too_long", limit=MOST_NAME_CHARACTERS)
        return name

    @field_validator("address")
    @classmethod
    def _check_address(cls, address: str) -> str:
        if not address:
            raise refuse(ErrorCode.EMPTY_PROPERTY)
        if to_wire(address) is None:
            # The usual mistake: `Ann <ann@example.com>`.
            more = {"detail": "Give the address alone; a name goes into Name."} if "<" in address else {}
            raise refuse(ErrorCode.INVALID_ADDRESS, smtp_code=501, enhanced_code="5.1.3", **more)
        return address

    @cached_property
    def wire(self) -> str:
        """The address as it goes over the wire: international domains as A-labels."""
        return to_wire(self.address) or self.address

    @property
    def domain(self) -> str:
        """The wire form's domain."""
        return self.wire.rpartition("@")[2]

    @property
    def needs_smtputf8(self) -> bool:
        """Whether the local part is not ASCII, which only a server with SMTPUTF8 takes (RFC 6531 section 3.2)."""
        return not self.wire.isascii()

    def __repr__(self) -> str:
        """Addresses are personal: show none."""
        return "EmailAddress(...)"


def to_wire(address: str) -> str | None:
    """The wire form of an address, or None where it is not of the form of RFC 5321."""
    local, at, domain = address.rpartition("@")
    # The length first: nothing long should reach the IDNA tables.
    if not at or len(address) > MOST_ADDRESS_OCTETS or has_control_characters(address):
        return None
    if not (_DOT_STRING.fullmatch(local) or _QUOTED_STRING.fullmatch(local)):
        return None
    # Allowed by RFC 5321, used by nobody, and read by some mail programs as an encoded word with another address in it.
    if looks_encoded(local):
        return None
    host = _literal(domain) if domain.startswith("[") else a_label(domain)
    if host is None:
        return None
    wire = f"{local}@{host}"
    fits = len(local.encode()) <= MOST_LOCAL_OCTETS and len(wire.encode()) <= MOST_ADDRESS_OCTETS
    return wire if fits else None


def a_label(domain: str) -> str | None:
    """A domain in ASCII: as it stands if it is, by UTS 46 if it is international; None where it is no domain."""
    try:
        ascii_form = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except idna.IDNAError:
        return None
    return ascii_form if _DOMAIN.fullmatch(ascii_form) else None


def is_ip(host: str) -> bool:
    """Whether a host, in its one form, is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_form(host: str) -> str:
    """One form for all ways to write a host: an IP address as the standard library writes it, a name in ASCII."""
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]")))
    except ValueError:
        return host if host.isascii() else a_label(host) or host


def _literal(domain: str) -> str | None:
    """An address literal (RFC 5321 section 4.1.3): `[192.0.2.1]` or `[IPv6:2001:db8::1]`."""
    if not domain.endswith("]"):
        return None
    inner = domain[1:-1]
    version, number = (6, inner[5:]) if inner[:5].lower() == "ipv6:" else (4, inner)
    try:
        return domain if ipaddress.ip_address(number).version == version and "%" not in number else None
    except ValueError:
        return None

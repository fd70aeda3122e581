"""The syntax of SMTP as the scripted server takes it: paths, parameters, and what a client sends that it should not.

Strict on purpose (RFC 5321 §4.1.2): a client that passes here has nothing to fear from a strict server. Pure functions
over strings and octets, called by `smtp_session`.
"""

import re
from dataclasses import dataclass
from typing import Literal

# RFC 5321 §4.5.3.1.6, without the CRLF.
LONGEST_TEXT_LINE = 998

# Which EHLO keyword permits which parameter: RFC 1870, 6152, 6531, 3461, 6710, 4954.
MAIL_PARAMETERS = {
    "SIZE": "SIZE",
    "BODY": "8BITMIME",
    "SMTPUTF8": "SMTPUTF8",
    "RET": "DSN",
    "ENVID": "DSN",
    "MT-PRIORITY": "MT-PRIORITY",
    "AUTH": "AUTH",
}
RCPT_PARAMETERS = {"NOTIFY": "DSN", "ORCPT": "DSN"}

# No blank after the colon, a path in angle brackets; only a quoted local part may hold brackets and blanks.
PATH = re.compile(
    r"""(?P<word>FROM|TO):
        <(?P<address> | (?P<local>"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"|[^\s"<>@\x00-\x1f\x7f]+)
          (?:@(?P<domain>\[[^\s<>@]+\]|[^\s"<>@\[\]\x00-\x1f\x7f]+))? )>
        (?P<parameters>(?:\ [^\s<>]+)*)""",
    re.VERBOSE | re.IGNORECASE,
)


class CommandRefused(Exception):
    """A command that is not taken: against the syntax, out of order, or over a limit; its text is the reply."""


@dataclass(frozen=True)
class Path:
    """What MAIL or RCPT names: an address, empty for the null sender, and parameters with their names in capitals."""

    address: str
    parameters: dict[str, str]


def parse_path(argument: str, word: Literal["FROM", "TO"]) -> Path:
    """Return what stands behind MAIL or RCPT.

    Raises:
        CommandRefused: 501 with the enhanced code of a bad sender or a bad recipient address.
    """
    found = PATH.fullmatch(argument)
    if found is None or found["word"].upper() != word or not _is_complete(found, word):
        raise CommandRefused("501 5.1.7 Bad sender address" if word == "FROM" else "501 5.1.3 Bad recipient address")
    pairs = (parameter.partition("=") for parameter in found["parameters"].split())
    return Path(found["address"], {name.upper(): value for name, _, value in pairs})


def _is_complete(found: re.Match[str], word: Literal["FROM", "TO"]) -> bool:
    if not found["address"]:
        return word == "FROM"  # the null reverse-path, RFC 5321 §4.5.5
    return bool(found["domain"]) or (word == "TO" and found["local"].lower() == "postmaster")  # RFC 5321 §4.5.1


def check_parameters(path: Path, permitted_by: dict[str, str], keywords: frozenset[str]) -> None:
    """See that each parameter belongs to an extension that was announced.

    Raises:
        CommandRefused: 555 (RFC 5321 §4.1.1.11), or 501 for a value that cannot be.
    """
    for name in path.parameters:
        if permitted_by.get(name) not in keywords:
            raise CommandRefused("555 5.5.4 Unsupported option")
    if not path.parameters.get("SIZE", "0").isdecimal():
        raise CommandRefused("501 5.5.4 Bad SIZE")
    if path.parameters.get("BODY", "7BIT").upper() not in {"7BIT", "8BITMIME"}:
        raise CommandRefused("501 5.5.4 Bad BODY")


def check_charset(address: str, *, is_utf8_agreed: bool) -> None:
    """See that a non-ASCII address comes only where SMTPUTF8 was agreed (RFC 6531 §3.5).

    Raises:
        CommandRefused: 553.
    """
    if not (address.isascii() or is_utf8_agreed):
        raise CommandRefused("553 5.6.7 Non-ASCII address without SMTPUTF8")


def find_violations(text: bytes, *, is_8bit_agreed: bool) -> list[str]:
    """Return what is wrong with a message text as it came over the wire; most servers let it pass, some do not."""
    line_ends = text.count(b"\r\n")
    findings = {
        "bare LF in the message": text.count(b"\n") != line_ends,
        "bare CR in the message": text.count(b"\r") != line_ends,
        "NUL in the message": b"\0" in text,
        "8-bit octets without BODY=8BITMIME": not (is_8bit_agreed or text.isascii()),
        "message line longer than 998 octets": max(map(len, text.split(b"\r\n"))) > LONGEST_TEXT_LINE,
    }
    return [what for what, is_so in findings.items() if is_so]


def unstuff(text: bytes) -> bytes:
    """Undo dot-stuffing: a dot that opens a line goes (RFC 5321 §4.5.2)."""
    return (b"\r\n" + text).replace(b"\r\n.", b"\r\n")[2:]


def refuse_argument(verb: str, argument: str) -> None:
    """See that nothing stands behind a command that takes nothing.

    Raises:
        CommandRefused: 501.
    """
    if argument:
        raise CommandRefused(f"501 5.5.4 {verb} takes no argument")

"""What may go wrong at a mail server, in one word each, for the scripted server of a test: `server.add_rules(throttle())`.

Owns the words for the usual faults; `at` says anything else. Bad certificates are the server's (`CERTIFICATES`), because it
shows them before anybody has said a word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from ssl import SSLContext
from typing import Final

from postroom.testing.certificates import CertificateKit
from postroom.testing.smtp_script import Rule, at


def refuse(address: str = "", reply: str = "550 5.1.1 No such user") -> Rule:
    """Refuse recipients for good: all, or those whose address contains a text."""
    return at("RCPT").matching(address).reply(reply)


def refuse_login() -> Rule:
    """Refuse every password."""
    return at("AUTH").reply("535 5.7.8 Authentication failed")


def greylist(address: str = "", wait_s: int = 1) -> Rule:
    """Put recipients off the first time, and say for how long."""
    return at("RCPT").matching(address).reply(f"450 4.7.1 Greylisted, try again in {wait_s} seconds").times(1)


def throttle(times: int = 1) -> Rule:
    """Hang up at the next MAIL commands, as a server does with a client that sends too much."""
    return at("MAIL").reply_then_close("421 4.7.0 Too many messages, try again in 1 second").times(times)


def be_busy(times: int | None = None) -> Rule:
    """Take the message and then say: not now. So many times, or always."""
    rule = at("END_OF_DATA").reply("451 4.3.0 Try again in 1 second")
    return rule if times is None else rule.times(times)


def stall() -> Rule:
    """Take the message, and never answer."""
    return at("END_OF_DATA").stall()


def drop_before_body() -> Rule:
    """Close the connection before the message has arrived: it is certain that nobody got it."""
    return at("DATA").drop()


def drop_after_body(times: int | None = None) -> Rule:
    """Take the message for good, and close the connection without a word: the sender cannot know. So many times, or always."""
    rule = at("END_OF_DATA").accept_then_drop()
    return rule if times is None else rule.times(times)


# The certificates that a server may show, and what is wrong with each.
CERTIFICATES: Final[Mapping[str, Callable[[CertificateKit], SSLContext]]] = {
    "good": CertificateKit.server_context,
    "expired": CertificateKit.expired_context,
    "not_yet_valid": CertificateKit.not_yet_valid_context,
    "wrong_host": CertificateKit.wrong_host_context,
    "unknown_ca": CertificateKit.unknown_ca_context,
    "self_signed": CertificateKit.self_signed_context,
}

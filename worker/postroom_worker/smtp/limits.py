"""How long we wait for a server and how much we ask of it: the defaults, each with its reason.

Owns two frozen values, `Timeouts` and `Limits`. The settings may replace any of them; nothing here acts on them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds to wait, by what is waited for: one timer for each, never one for all (RFC 5321 section 4.5.3.2)."""

    # A resolver tries its servers several times, 5 s each.
    resolve_s: float = 20.0
    # To one address. Linux repeats a SYN after 1, 3 and 7 s: an address that is there answers by then.
    connect_s: float = 15.0
    # Section 4.5.3.2.1 allows 5 minutes, from the time of dial-up; busy servers delay the greeting by up to 30 s on
    # purpose, to shake off spammers who do not wait. Implicit TLS has to come about within the same time.
    greeting_s: float = 60.0
    # A server that waits for TLS stays silent, and so does a busy one: after this the port is asked which it is.
    silence_s: float = 5.0
    # For the question itself: a TLS server answers a ClientHello at once.
    probe_s: float = 5.0
    # STARTTLS handshake: two round trips and some arithmetic.
    tls_s: float = 30.0
    # EHLO, STARTTLS, AUTH. The RFC names none; a directory behind AUTH may take its time.
    command_s: float = 60.0
    # MAIL and each RCPT: sections 4.5.3.2.2 and 4.5.3.2.3 (servers look up names and call others meanwhile).
    envelope_s: float = 300.0
    # The 354: section 4.5.3.2.4.
    data_s: float = 120.0
    # Each block of the message while it is written: section 4.5.3.2.5.
    block_s: float = 180.0
    # The reply to the dot: section 4.5.3.2.6. Giving up too early here is what makes duplicates (RFC 1047).
    final_s: float = 600.0
    # The same, once the worker has been told to stop: what a supervisor grants before it kills.
    interrupted_s: float = 20.0
    # An idle session that does not answer RSET by then is not worth waiting for: a new one takes less.
    check_s: float = 5.0
    # A goodbye delays a stop, and nothing depends on it.
    quit_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much we ask of one server."""

    # Exchange Online allows three per mailbox, the fewest among the big providers.
    most_connections: int = 3
    # What nodemailer sends by default; Exim and Postfix allow more, small providers less.
    most_messages: int = 100
    # Amazon SES hangs up after about 10 s without a command: go first.
    most_idle_s: float = 8.0
    # A changed certificate, DNS record or password policy has to be noticed some time.
    most_age_s: float = 300.0
    # After this pause a session is asked (RSET) whether it is still there: within it, a load balancer or NAT that
    # forgets connections would have to be broken; asking always would cost a round trip per message.
    unchecked_idle_s: float = 3.0
    # SES and Postmark take 50, and SES refuses the 51st for good.
    most_recipients: int = 50

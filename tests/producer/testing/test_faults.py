"""The words for faults: what a client of each sees. The standard library's is one that nobody here has written."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable

import pytest

from postroom.testing import CertificateKit, Rule, SmtpServer
from postroom.testing.faults import (
    CERTIFICATES,
    be_busy,
    drop_after_body,
    drop_before_body,
    greylist,
    refuse,
    refuse_login,
    stall,
    throttle,
)

USERS = {"shop": "secret"}


def send(server: SmtpServer, to: str = "ann@example.com", timeout_s: float = 10) -> None:
    """Send one message."""
    with smtplib.SMTP("127.0.0.1", server.port, timeout=timeout_s) as client:
        client.login("shop", "secret")
        client.sendmail("shop@example.com", [to], "Subject: x\r\n\r\nx")


@pytest.mark.parametrize(
    ("rule", "error", "arrived"),
    [
        (lambda: refuse("ann@"), smtplib.SMTPRecipientsRefused, 0),
        (refuse_login, smtplib.SMTPAuthenticationError, 0),
        (greylist, smtplib.SMTPRecipientsRefused, 0),
        (throttle, smtplib.SMTPSenderRefused, 0),
        (be_busy, smtplib.SMTPDataError, 0),
        (drop_before_body, smtplib.SMTPServerDisconnected, 0),
        (drop_after_body, smtplib.SMTPServerDisconnected, 1),
    ],
    ids=["refuse", "refuse_login", "greylist", "throttle", "be_busy", "drop_before_body", "drop_after_body"],
)
def test_a_fault_is_what_its_name_says(rule: Callable[[], Rule], error: type[Exception], arrived: int) -> None:
    """And whether the message has arrived all the same is in the record."""
    with SmtpServer(users=USERS, allow_cleartext_auth=True, rules=[rule()]) as server:
        with pytest.raises(error):
            send(server)

        assert len(server.messages) == arrived


@pytest.mark.parametrize("rule", [greylist(), throttle(), be_busy(times=1), drop_after_body(times=1), refuse("bob@")])
def test_a_fault_that_passes_has_passed_the_second_time(rule: Rule) -> None:
    """What comes so many times comes no more; what is meant for one address leaves others alone."""
    with SmtpServer(users=USERS, allow_cleartext_auth=True, rules=[rule]) as server:
        try:
            send(server)
        except (smtplib.SMTPException, OSError):
            send(server)

        assert server.messages


def test_a_stall_is_silence() -> None:
    """The client waits for as long as it likes."""
    with (
        SmtpServer(users=USERS, allow_cleartext_auth=True, rules=[stall()]) as server,
        pytest.raises(OSError, match="timed out"),
    ):
        send(server, timeout_s=0.3)


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_bad_certificate_is_not_trusted(name: str) -> None:
    """Only the good one is."""
    kit = CertificateKit()
    with SmtpServer(tls="implicit", ssl_context=CERTIFICATES[name](kit)) as server:
        try:
            with smtplib.SMTP_SSL("localhost", server.port, context=kit.client_context(), timeout=10) as client:
                client.noop()
        except ssl.SSLCertVerificationError:
            is_trusted = False
        else:
            is_trusted = True

    assert is_trusted == (name == "good")

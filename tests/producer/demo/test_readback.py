"""What the servers have seen, read back: copies with their connections, and sums."""

import smtplib
import ssl
from pathlib import Path

import pytest

from postroom.demo.examples import SENDER, Place
from postroom.demo.readback import read_copies, sum_up
from postroom.demo.stage import PASSWORD, WRONG_PASSWORD, Stage, set_stage
from postroom.testing.certificates import CertificateKit


def context_for(stage: Stage) -> ssl.SSLContext:
    """A TLS context that trusts the stage's authority."""
    context = CertificateKit().client_context()
    context.load_verify_locations(stage.ca_file)
    return context


def test_messages_connections_and_logins_are_counted(tmp_path: Path) -> None:
    """Two messages over one connection, one login refused on another, and nothing at the other port."""
    with set_stage(tmp_path) as stage:
        port, context = stage.port_of(Place.TLS), context_for(stage)
        with smtplib.SMTP_SSL("127.0.0.1", port, context=context) as client:
            client.login(SENDER, PASSWORD)
            for number in (1, 2):
                client.sendmail(SENDER, ["a@example.org"], f"Message-ID: <{number}@here>\r\n\r\nText\r\n")
        with smtplib.SMTP_SSL("127.0.0.1", port, context=context) as client:
            client.ehlo()
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.auth("PLAIN", lambda _challenge=None: f"\0{SENDER}\0{WRONG_PASSWORD}")
        copies, (tls, starttls) = read_copies(stage), sum_up(stage)

    assert [(copy.place, copy.connection, copy.message_id) for copy in copies] == [
        (Place.TLS, 1, "<1@here>"),
        (Place.TLS, 1, "<2@here>"),
    ]
    assert all(copy.tls_version for copy in copies)
    assert (tls.messages, tls.connections, tls.logins, tls.refused_logins, tls.quits) == (2, 1, 1, 1, 1)
    assert (starttls.messages, starttls.connections, starttls.logins) == (0, 0, 0)


def test_connection_that_ends_without_goodbye_is_not_a_quit(tmp_path: Path) -> None:
    """Only QUIT counts as one."""
    with set_stage(tmp_path) as stage:
        client = smtplib.SMTP_SSL("127.0.0.1", stage.port_of(Place.TLS), context=context_for(stage))
        client.login(SENDER, PASSWORD)
        client.sendmail(SENDER, ["a@example.org"], "Text\r\n")
        client.close()
        server = stage.servers[Place.TLS]
        server.wait_for(lambda: server.open_connections == 0)

        assert sum_up(stage)[0].quits == 0

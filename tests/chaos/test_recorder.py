"""The recording SMTP server, spoken to by the standard library: it does as the seed says, and its journal is true."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.chaos.journal import Transaction
from tests.chaos.mails import DOMAIN, NOBODY
from tests.chaos.postoffice import PostOffice
from tests.chaos.smtp_faults import Fault, Moment, of_connection, of_transaction
from tests.support.waiting import wait_until

SEED = 1
TIMEOUT_S = 20.0
ANN = f"ann@{DOMAIN}"


@pytest.fixture
def office(tmp_path: Path) -> Iterator[PostOffice]:
    """The server with its faults; nothing may have gone wrong in itself."""
    with PostOffice(tmp_path, SEED, is_calm=False) as office:
        yield office
    assert office.complaints == ""


def test_a_mail_without_a_fault(office: PostOffice) -> None:
    """It is accepted, and the journal names worker, Message-ID, recipients and the order of things."""
    number = _mail_with(None)
    _send(office, number, ANN, f"{NOBODY}@{DOMAIN}")

    written = _written(office)
    assert (written.worker, written.mail, written.sighting) == ("w0-1", number, 1)
    assert (written.admitted, written.refused) == ([ANN], {f"{NOBODY}@{DOMAIN}": 550})
    assert written.message_id == f"<{number}@{DOMAIN}>"
    assert written.code == 250
    times = (written.began_at, written.body_at, written.last_byte_at, written.accepted_at, written.replied_at)
    assert list(times) == sorted(each or 0.0 for each in times)


@pytest.mark.parametrize("at", [moment for moment in Moment if moment is not Moment.GREETING])
@pytest.mark.parametrize("is_abrupt", [False, True])
def test_a_connection_that_breaks(office: PostOffice, at: Moment, is_abrupt: bool) -> None:  # noqa: FBT001 -- a table
    """The client is left without an answer, and the journal says how far it had got and whether the mail was kept."""
    number = _mail_with(Fault(at, is_abrupt=is_abrupt))
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        _send(office, number, ANN)

    written = _written(office)
    assert (written.body_at is not None) == (at in {Moment.BODY, Moment.BEFORE_RECORD, Moment.AFTER_RECORD})
    assert (written.accepted_at is not None) == (at is Moment.AFTER_RECORD)
    assert written.replied_at is None
    assert written.is_dropped
    if at in {Moment.BEFORE_RECORD, Moment.AFTER_RECORD}:
        assert written.is_open_after_last_byte


@pytest.mark.parametrize("at", [Moment.MAIL, Moment.RCPT, Moment.DATA, Moment.BEFORE_RECORD])
def test_a_reply_that_puts_off(office: PostOffice, at: Moment) -> None:
    """The client reads a 4yz, and the second time all goes well."""
    number = next(
        number
        for number in count()
        if (fault := of_transaction(SEED, number, 1)) and fault.at is at and fault.reply
        if of_transaction(SEED, number, 2) is None
    )
    with pytest.raises(smtplib.SMTPException, match=r"4\d\d"):
        _send(office, number, ANN)
    _send(office, number, ANN)

    journal = wait_until(lambda: office.journal.read().accepted, TIMEOUT_S, "the mail to be accepted")
    assert [(each.mail, each.sighting) for each in journal] == [(number, 2)]
    assert not any(each.is_open_after_last_byte for each in office.journal.transactions)


def test_a_client_that_dies_before_the_reply(office: PostOffice) -> None:
    """The transaction counts as open after its last byte, and the message is not kept."""
    number = _mail_with(None)
    client = _client(office)
    client.mail(f"m{number}@{DOMAIN}")
    client.rcpt(ANN)
    client.docmd("DATA")
    client.send(_text(number) + b".\r\n")
    client.close()

    written = _written(office)
    assert written.is_open_after_last_byte
    assert not written.is_dropped
    assert written.accepted_at is None


def _mail_with(fault: Fault | None) -> int:
    return next(number for number in count() if of_transaction(SEED, number, 1) == fault)


def _client(office: PostOffice) -> smtplib.SMTP:
    assert all(of_connection(SEED, number) is None for number in (1, 2)), "choose another seed"
    return smtplib.SMTP("127.0.0.1", office.port, local_hostname=f"w0-1.{DOMAIN}", timeout=TIMEOUT_S)


def _send(office: PostOffice, number: int, *recipients: str) -> None:
    with _client(office) as client:
        client.sendmail(f"m{number}@{DOMAIN}", recipients, _text(number))


def _text(number: int) -> bytes:
    return f"Message-ID: <{number}@{DOMAIN}>\r\nSubject: Mail\r\n\r\nGood day.\r\n".encode()


def _written(office: PostOffice) -> Transaction:
    wait_until(lambda: office.journal.read().transactions, TIMEOUT_S, "the transaction to be written down")
    (written,) = office.journal.transactions
    return written

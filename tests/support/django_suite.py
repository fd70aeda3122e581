"""Django's own tests of a mail backend, run on Postroom's: `python -m tests.support.django_suite FOLDER`.

Owns what those tests ask of whoever runs them: the mailbox. Mail goes through the backend into an outbox and through the worker's
composer; an independent parser reads the bytes, and Django's own writer writes what was read, because the tests compare bytes
and there is more than one good way to encode a header. Prints one JSON object. A process of its own: the suite changes Django.
"""

from __future__ import annotations

import importlib
import json
import sys
import unittest
from email import message_from_bytes, policy
from email.message import EmailMessage as Read
from typing import Any

import django
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.test import SimpleTestCase
from django.test.utils import setup_test_environment

from postroom import Anonymous, BasicEmailSessionDetails, ServerDetails
from postroom.testing import OutboxMailer
from postroom_contract.delivery import Delivery
from postroom_worker.composer import compose

DETAILS = BasicEmailSessionDetails(server_details=ServerDetails(host="localhost", port=465), credentials=Anonymous())


def read(delivery: Delivery) -> Read:
    """The mail that a server would be given, as the standard library reads it."""
    raw = compose(delivery, [attachment.content or b"" for attachment in delivery.message.attachments])
    mail = message_from_bytes(raw, policy=policy.default)
    assert isinstance(mail, Read)
    assert not mail.defects
    return mail


def written_by_django(mail: Read) -> bytes:
    """The same mail in Django's hand."""
    bodies = {kind: _text(mail.get_body((kind,))) for kind in ("plain", "html")}
    lists = {name: [str(each) for each in mail[name].addresses] if mail[name] else [] for name in ("To", "Cc")}
    headers = {name: str(mail[name]) for name in ("Date", "Message-ID")}
    again = EmailMultiAlternatives(
        str(mail["Subject"]), bodies["plain"] or "", str(mail["From"]), lists["To"], cc=lists["Cc"], headers=headers
    )
    if bodies["html"] is not None:
        again.attach_alternative(bodies["html"], "text/html")
    return again.message().as_bytes()


def _text(part: Any) -> str | None:
    # The line end before a boundary or the end of the mail is not the text's.
    return None if part is None else str(part.get_content()).replace("\r\n", "\n").removesuffix("\n")


def backend_tests(suite: Any) -> type[unittest.TestCase]:
    """Django's tests of any backend, with Postroom's as the one."""
    from postroom.django import use_mailer  # noqa: PLC0415 -- Django has to be set up first

    class PostroomBackendTests(suite.BaseEmailBackendTests, SimpleTestCase):  # type: ignore[misc]
        """What Django asks of its own backends."""

        email_backend = "postroom.django.EmailBackend"

        def setUp(self) -> None:
            super().setUp()
            self.mailer = self.enterContext(use_mailer(OutboxMailer({"office": DETAILS})))

        def get_mailbox_content(self) -> list[Any]:
            written = [written_by_django(read(delivery)) for delivery in self.mailer.outbox]
            return [suite.message_from_bytes(raw) for raw in written]

        def flush_mailbox(self) -> None:
            self.mailer.outbox.clear()

    return PostroomBackendTests


def main(folder: str) -> None:
    """Run them all and tell which failed, and by what."""
    sys.path.insert(0, folder)
    settings.configure(SECRET_KEY="only for tests", USE_TZ=False, POSTROOM_SESSION="office")
    django.setup()
    setup_test_environment()
    tests = unittest.defaultTestLoader.loadTestsFromTestCase(backend_tests(importlib.import_module("mail.tests")))
    result = tests.run(unittest.TestResult())
    failed = {test.id().rpartition(".")[2]: why.splitlines()[-1] for test, why in (*result.failures, *result.errors)}
    sys.stdout.write(json.dumps({"run": result.testsRun, "failed": failed}))


if __name__ == "__main__":
    main(sys.argv[1])

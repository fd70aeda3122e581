"""`manage.py postroom_test`: send a test mail through the settings as they are, and tell what became of it.

Owns its arguments and the wording of the test mail. What is printed, and the exit codes, are those of `postroom send --wait`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.core.mail import EmailMessage
from django.core.management.base import BaseCommand, CommandError

from postroom.cli.asking import ask
from postroom.cli.failure import exit_code_for, explain
from postroom.cli.output import ExitCode, exit_code_of
from postroom.django.backend import ImmediateEmailBackend
from postroom.django.mailer import get_mailer
from postroom_contract.errors import PostroomError

if TYPE_CHECKING:
    from argparse import ArgumentParser

# A greylisting server makes the first mail wait longer than anybody watches.
DEFAULT_WAIT_S = 30.0


class Command(BaseCommand):
    """Queue a test mail and wait for its outcome."""

    help = (
        "Sends a test mail as EMAIL_HOST_* or POSTROOM_SESSION say, whatever EMAIL_BACKEND is, waits for its outcome and"
        " prints it as one JSON object. Exit codes as of `postroom send --wait`: 0 sent, 10 failed, 75 still pending."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take recipients, and how to send."""
        parser.add_argument("recipients", nargs="+", metavar="ADDRESS", help="whom to send it to")
        parser.add_argument("--from", dest="sender", metavar="ADDRESS", help="the sender; default: DEFAULT_FROM_EMAIL")
        parser.add_argument("--session", metavar="NAME", help="a session of POSTROOM_SESSIONS_FILE")
        parser.add_argument(
            "--wait", type=float, default=DEFAULT_WAIT_S, metavar="S", help="seconds to wait; default: %(default)g"
        )

    def handle(self, *_: Any, recipients: list[str], sender: str | None, session: str | None, **options: Any) -> None:
        """Send it."""
        message = EmailMessage(
            subject="Test mail from Postroom",
            body="Django, the queue, a worker and your SMTP server: this mail came all the way.\n",
            from_email=sender,
            to=recipients,
        )
        try:
            ImmediateEmailBackend(session=session).send_messages([message])
            told = ask(get_mailer().receipt(message.postroom_receipt_id), options["wait"])  # type: ignore[attr-defined]
        except PostroomError as failed:
            raise CommandError(explain(failed), returncode=int(exit_code_for(failed))) from failed
        self.stdout.write(json.dumps(told))
        code = exit_code_of(told)
        if code is not ExitCode.OK:
            raise CommandError(f"the test mail is {told['state']}", returncode=int(code))

"""What a program that sends through Postroom tests itself with, and what Postroom's own tests and demo run against.

An SMTP server in this process that plays any fault and records everything (`SmtpServer`, `at`), certificates good and bad
(`CertificateKit`), ports where no server is, and a mailer that keeps everything in a list (`OutboxMailer`). Nothing here
is imported by `postroom` itself. `postroom_pytest` has fixtures of all this.
"""

from postroom.testing.certificates import CertificateKit
from postroom.testing.outbox import OutboxMailer
from postroom.testing.ports import FullListener, SilentListener, free_port
from postroom.testing.smtp_record import AuthAttempt, ConnectionRecord, MessageRecord
from postroom.testing.smtp_script import Moment, Rule, at
from postroom.testing.smtp_server import SmtpServer

__all__ = [
    "AuthAttempt",
    "CertificateKit",
    "ConnectionRecord",
    "FullListener",
    "MessageRecord",
    "Moment",
    "OutboxMailer",
    "Rule",
    "SilentListener",
    "SmtpServer",
    "at",
    "free_port",
]

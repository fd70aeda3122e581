"""How an outbox gets the mail of a program that makes its own mailer.

Owns the swap: while it lasts, `Mailer.from_env` gives the outbox, in every adapter for web frameworks too, and any name of a
session will do. The program under test is not changed and needs no settings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar
from unittest.mock import patch

from postroom.mailer import Mailer
from postroom.testing.outbox import OutboxMailer
from postroom_contract.session import Anonymous, BasicEmailSessionDetails, ServerDetails

Default = TypeVar("Default")


class AnySession(dict[str, BasicEmailSessionDetails]):
    """Details for whatever name is asked for: a program's tests need no sessions file."""

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 -- a dict's own
        """The details, which lead nowhere."""
        details = ServerDetails(host="localhost", port=25, allow_cleartext=True)
        return BasicEmailSessionDetails(server_details=details, credentials=Anonymous())


@contextmanager
def taken_over(sessions: Mapping[str, BasicEmailSessionDetails] | None = None) -> Iterator[OutboxMailer]:
    """An outbox that gets all that is sent meanwhile.

    Args:
        sessions: the sessions that there are; without them, a name is never wrong.
    """
    outbox = OutboxMailer(AnySession() if sessions is None else sessions)
    with ExitStack() as stack:
        stack.enter_context(patch.object(Mailer, "from_env", lambda variables=None: outbox))  # noqa: ARG005
        if "django" in sys.modules:
            from postroom.django.mailer import use_mailer  # noqa: PLC0415 -- where Django is there

            stack.enter_context(use_mailer(outbox))
        yield outbox

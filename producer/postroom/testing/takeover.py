"""How an outbox gets the mail of a program that makes its own mailer.

Owns the swap: while it lasts, every `Mailer` of this process hands over to the outbox, whether it was made before or is made
meanwhile, by a framework's adapter or by the program, and any name of a session will do. The program under test is not
changed and needs no settings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Never
from unittest.mock import patch

from postroom.mailer import Mailer
from postroom.testing.outbox import OutboxMailer
from postroom_contract.session import Anonymous, BasicEmailSessionDetails, ServerDetails


class AnySession(dict[str, BasicEmailSessionDetails]):
    """Details for whatever name is asked for: a program's tests need no sessions file."""

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ARG002 -- a dict's own
        """The details, which lead nowhere."""
        details = ServerDetails(host="localhost", port=25, allow_cleartext=True)
        return BasicEmailSessionDetails(server_details=details, credentials=Anonymous())


class StandIn(Mailer):
    """What `Mailer.from_env` gives meanwhile: a mailer without settings, for programs may keep it for longer than a test."""

    def __init__(self) -> None:
        """Connect to nothing."""

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def __repr__(self) -> str:
        return "StandIn()"

    def __getattr__(self, name: str) -> Never:
        if name not in {"_settings", "_orders", "_tracking"}:
            raise AttributeError(name)
        raise RuntimeError(
            "this mailer was made in a test with postroom_outbox (taken_over), which is over: let this test ask for"
            " postroom_outbox too, or make the application anew"
        )


def _known(
    sessions: Mapping[str, BasicEmailSessionDetails] | Iterable[str] | None,
) -> Mapping[str, BasicEmailSessionDetails]:
    any_session = AnySession()
    if sessions is None or isinstance(sessions, Mapping):
        return any_session if sessions is None else sessions
    return {name: any_session.get(name) for name in sessions}


@contextmanager
def taken_over(
    sessions: Mapping[str, BasicEmailSessionDetails] | Iterable[str] | None = None,
) -> Iterator[OutboxMailer]:
    """An outbox that gets all that is sent meanwhile.

    Args:
        sessions: the sessions that there are, or their names; without them, a name is never wrong.
    """
    outbox = OutboxMailer(_known(sessions))
    # Of the class, so that it counts for a mailer that an application made when it was imported: its mail would go out.
    with patch.multiple(
        Mailer,
        from_env=lambda variables=None: StandIn(),  # noqa: ARG005
        send=lambda _, *given, **options: outbox.send(*given, **options),
        check=lambda _, *given, **options: outbox.check(*given, **options),
        receipt=lambda _, delivery_id: outbox.receipt(delivery_id),
        scheduled=lambda _: outbox.scheduled(),
        held=lambda _: iter(()),  # the outbox holds nothing for an operator
    ):
        try:
            yield outbox
        finally:
            # Django's mailer serves the process: tests that come later want one of their own.
            if "postroom.django.mailer" in sys.modules:
                from postroom.django.mailer import forget_mailer  # noqa: PLC0415 -- where Django is there

                forget_mailer(StandIn)

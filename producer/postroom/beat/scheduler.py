"""What Celery's beat calls: a scheduler that keeps the schedule of POSTROOM_SCHEDULE_FILE.

Owns how the agenda is made from the environment, and nothing of what it does. It is named in the worker's Celery app, so that
`celery -A postroom_worker beat` finds it. It needs no file of its own: what is done stands in Redis.
"""

from __future__ import annotations

import os
import socket
import uuid
from typing import Any

from celery.beat import Scheduler

from postroom.beat.agenda import Agenda
from postroom.beat.events import logger
from postroom.beat.schedule_file import SETTING, entries_from_env
from postroom.mailer import Mailer
from postroom.settings import ProducerSettings
from postroom_broker.beats import Beats
from postroom_contract.environment import Environment
from postroom_contract.errors import SettingsException
from postroom_contract.sign_of_life import SignOfLife

# As all of Postroom's programs end with wrong settings (sysexits' EX_CONFIG).
EXIT_BAD_SETTINGS = 78


class SlotScheduler(Scheduler):
    """Sends each slot of each entry once."""

    def setup_schedule(self) -> None:
        """Read the schedule; wrong settings end the program. Celery calls it once, when it really starts."""
        try:
            self._sign = SignOfLife.from_env()
            self._agenda = make_agenda(self._sign)
        except SettingsException as wrong:
            logger.critical("%s", wrong)  # without the traceback that Celery would show
            raise SystemExit(EXIT_BAD_SETTINGS) from None

    def tick(self, *_: Any, **__: Any) -> float:
        """Send what is due, and tell after how many seconds to come again."""
        pause_s = self._agenda.tick()
        # A tick ends without Redis, too: a beat that is away from it works, and goes on when it is back.
        self._sign.show()
        return pause_s

    def close(self) -> None:
        """Celery ends it, after a signal."""
        self._sign.withdraw()
        super().close()

    @property
    def info(self) -> str:
        """For Celery's banner."""
        return f"    . {SETTING} -> {os.environ.get(SETTING, '')}"


def make_agenda(sign: SignOfLife) -> Agenda:
    """The agenda that the environment asks for.

    Args:
        sign: what shows that the beat works, also in the middle of a long tick.

    Raises:
        SettingsException: something is missing or wrong; all of it is listed.
    """
    environment = Environment()
    settings = ProducerSettings.read(environment)
    entries = entries_from_env(environment)
    assert settings is not None  # a missing ring is a mistake, and was refused
    beat = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
    return Agenda(entries, Mailer(settings), Beats(settings.broker_url, beat), progress=sign.show)

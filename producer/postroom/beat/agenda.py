"""What a beat does at each tick: send what is due, once, and remember up to when it is done.

Owns the rule for what was missed: each slot that is no older than its entry's `catch_up` is sent late, in order; older ones
are left out, and the log says which. Whoever else sends the same slots does no harm, because a slot's delivery has one id.
What is due, an entry's rhythm says, and what it says, the entry; Celery is not known here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from postroom.beat.entry import Entry
from postroom.beat.slots import Slot
from postroom.mailer import AnyMailer
from postroom_broker.beats import Beats
from postroom_contract.errors import BrokerUnavailable, IdempotencyException, PostroomError

logger = logging.getLogger("postroom.beat")

# A beat shows that it lives by ticking, and is asked to stop between two ticks.
LONGEST_PAUSE = timedelta(seconds=1)
# A slot is met a moment after its time, by ticks that take turns with others: nobody has missed it so far.
PUNCTUAL = timedelta(seconds=10)


@dataclass(slots=True)
class Watch:
    """Up to when an entry is done; None before the first tick."""

    entry: Entry
    done_until: datetime | None = None


class Agenda:
    """The entries of one beat, and how far it is with each."""

    def __init__(
        self,
        entries: Sequence[Entry],
        mailer: AnyMailer,
        beats: Beats,
        clock: Callable[[datetime], datetime] = lambda server_time: server_time,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin.

        Args:
            entries: what recurs.
            mailer: what queues it.
            beats: where it stands up to when all is done.
            clock: what time it is when it is this late at the server; its own time, unless somebody tries out another day.
            progress: told of each slot that was sent: half a day of missed ones may take minutes, in which the beat works.
        """
        self._watches = [Watch(entry) for entry in entries]
        self._mailer = mailer
        self._beats = beats
        self._clock = clock
        self._progress = progress
        self._is_away = False

    def tick(self) -> float:
        """Send what is due, and return how many seconds may pass before the next tick."""
        try:
            tick = self._beats.tick({one.entry.name: one.done_until for one in self._watches if one.done_until})
            now = self._clock(tick.now)
            for one in self._watches:
                if one.done_until is None:
                    one.done_until = self._begin(one.entry, tick.marks.get(one.entry.name), now)
                self._send_due(one, now)
        except BrokerUnavailable as away:
            # Nothing is given up: what is due is sent when Redis is back, if it is not too late by then.
            if not self._is_away:
                logger.warning("Redis is away: %s", away)
            self._is_away = True
            return LONGEST_PAUSE.total_seconds()
        self._is_away = False
        return self._pause(now).total_seconds()

    def _begin(self, entry: Entry, mark: datetime | None, now: datetime) -> datetime:
        """From when on this beat answers for an entry."""
        if mark is None:
            logger.info("entry %s begins now", entry.name)
        # A server whose clock was set back must not keep an entry silent until the old time has come again.
        return now if mark is None else min(mark, now)

    def _send_due(self, one: Watch, now: datetime) -> None:
        entry, done_until = one.entry, one.done_until
        assert done_until is not None
        oldest = now - max(entry.catch_up, PUNCTUAL)
        if done_until < oldest:
            self._leave_out(entry, done_until, oldest)
            one.done_until = done_until = oldest
        for slot in entry.rhythm.between(done_until, now):
            self._send(entry, slot)
            one.done_until = slot.at
            self._progress()
        one.done_until = max(one.done_until or now, now)

    def _leave_out(self, entry: Entry, after: datetime, until: datetime) -> None:
        if count := entry.rhythm.count(after, until):
            logger.warning("entry %s: %d slots after %s were missed and are too old to send", entry.name, count, after)

    def _send(self, entry: Entry, slot: Slot) -> None:
        try:
            receipt = self._mailer.send(entry.message_for(slot), entry.session, **entry.options_for(slot))
        except BrokerUnavailable:
            raise
        except IdempotencyException:
            # Another beat, with another version of the file, was first; one mail for a slot is the promise.
            logger.warning("entry %s: slot %s was sent already, with another content", entry.name, slot.label)
        except PostroomError as refused:
            logger.error("entry %s: slot %s is refused (%s)", entry.name, slot.label, refused.error_code)
        else:
            logger.info("entry %s: slot %s is queued as %s", entry.name, slot.label, receipt.id)

    def _pause(self, now: datetime) -> timedelta:
        """How long until the next slot, at the most a second."""
        nexts = [one.entry.rhythm.next(now) for one in self._watches]
        return min([LONGEST_PAUSE, *(slot.at - now for slot in nexts if slot is not None)])

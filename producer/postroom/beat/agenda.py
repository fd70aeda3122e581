"""What a beat does at each tick: send what is due, once, and remember up to when it is done.

Owns the rule for what was missed: each slot that is no older than its entry's `catch_up` is sent late, in order; older ones
are left out, and the log says which. Whoever else sends the same slots does no harm, because a slot's delivery has one id.
What is due, an entry's rhythm says, and what it says, the entry; Celery is not known here.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from postroom.beat.entry import Entry
from postroom.beat.events import tell
from postroom.beat.slots import Slot
from postroom.mailer import AnyMailer
from postroom_broker.beats import Beats
from postroom_contract.errors import BrokerUnavailable, IdempotencyException, PostroomError

# A beat shows that it lives by ticking, and is asked to stop between two ticks.
LONGEST_PAUSE = timedelta(seconds=1)
# A slot is met a moment after its time, by ticks that take turns with others: nobody has missed it so far.
PUNCTUAL = timedelta(seconds=10)
# A server's clock that is put right goes back by seconds, and what was done stays done. From here on it was wrong, and an entry
# that waited until it has come so far again would be silent for as long.
MOST_AHEAD = timedelta(minutes=10)
# How long an entry that met a bug rests before its slot is tried again.
REST = timedelta(minutes=1)


@dataclass(slots=True)
class Watch:
    """Up to when an entry is done; None before the first tick."""

    entry: Entry
    done_until: datetime | None = None
    # After a bug.
    rests_until: datetime | None = None


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
                elif one.done_until > now + MOST_AHEAD:
                    self._begin_again(one, now)
                self._send_due(one, now)
        except BrokerUnavailable as away:
            # Nothing is given up: what is due is sent when Redis is back, if it is not too late by then.
            if not self._is_away:
                tell(logging.WARNING, "redis_away", "Redis is away: %(why)s", why=str(away))
            self._is_away = True
            return LONGEST_PAUSE.total_seconds()
        self._is_away = False
        return self._pause(now).total_seconds()

    def _begin(self, entry: Entry, mark: datetime | None, now: datetime) -> datetime:
        """From when on this beat answers for an entry."""
        if mark is None:
            tell(logging.INFO, "entry_begins", "entry %(entry)s begins now", entry=entry.name)
        # A server whose clock was set back must not keep an entry silent until the old time has come again.
        return now if mark is None else min(mark, now)

    def _begin_again(self, one: Watch, now: datetime) -> None:
        """Answer for an entry from now on, though it is done further: the server's clock was wrong."""
        sentence = "entry %(entry)s was done up to %(done)s; Redis' clock was set back, and it goes on from now"
        tell(logging.WARNING, "clock_set_back", sentence, entry=one.entry.name, done=str(one.done_until))
        one.done_until, one.rests_until = now, None

    def _send_due(self, one: Watch, now: datetime) -> None:
        entry, done_until = one.entry, one.done_until
        assert done_until is not None
        if not entry.is_enabled:
            # What falls due while it is switched off is not missed.
            one.done_until = max(done_until, now)
            return
        if one.rests_until is not None and now < one.rests_until:
            return
        one.rests_until = None
        oldest = now - max(entry.catch_up, PUNCTUAL)
        if done_until < oldest:
            self._leave_out(entry, done_until, oldest)
            one.done_until = done_until = oldest
        for slot in entry.rhythm.between(done_until, now):
            try:
                self._send(entry, slot)
            except BrokerUnavailable:
                raise
            except Exception as bug:  # noqa: BLE001 -- whatever it is, the other entries' mail must go out
                self._rest(one, slot, bug, now)
                return
            one.done_until = slot.at
            self._progress()
        one.done_until = max(one.done_until or now, now)

    def _rest(self, one: Watch, slot: Slot, bug: Exception, now: datetime) -> None:
        """Let an entry wait whose slot met a bug; its mail is tried again until it is too old, which is told."""
        one.rests_until = now + REST
        last = traceback.extract_tb(bug.__traceback__)[-1]
        sentence = "entry %(entry)s: slot %(slot)s met a bug: %(kind)s at %(place)s"
        # The bug's text might quote the message.
        told = {"kind": type(bug).__name__, "place": f"{last.filename}:{last.lineno}"}
        tell(logging.ERROR, "bug_met", sentence, entry=one.entry.name, slot=slot.label, **told)

    def _leave_out(self, entry: Entry, after: datetime, until: datetime) -> None:
        if count := entry.rhythm.count(after, until):
            sentence = (
                "entry %(entry)s: %(count)d slots after %(after)s, up to %(until)s, were missed and are too old to send"
            )
            told = {"after": str(after), "until": str(until)}
            tell(logging.WARNING, "slots_left_out", sentence, entry=entry.name, count=count, **told)

    def _send(self, entry: Entry, slot: Slot) -> None:
        told = {"entry": entry.name, "slot": slot.label}
        try:
            receipt = self._mailer.send(entry.message_for(slot), entry.session, **entry.options_for(slot))
        except BrokerUnavailable:
            raise
        except IdempotencyException:
            # Another beat, with another version of the file, was first; one mail for a slot is the promise.
            sentence = "entry %(entry)s: slot %(slot)s was sent already, with another content"
            tell(logging.WARNING, "slot_conflicts", sentence, **told)
        except PostroomError as refused:
            sentence = "entry %(entry)s: slot %(slot)s is refused (%(code)s)"
            tell(logging.ERROR, "slot_refused", sentence, **told, code=refused.error_code)
        else:
            sentence = "entry %(entry)s: slot %(slot)s is queued as %(id)s"
            tell(logging.INFO, "slot_queued", sentence, **told, id=receipt.id)

    def _pause(self, now: datetime) -> timedelta:
        """How long until the next slot, at the most a second."""
        nexts = [one.entry.rhythm.next(now) for one in self._watches if one.entry.is_enabled]
        return min([LONGEST_PAUSE, *(slot.at - now for slot in nexts if slot is not None)])

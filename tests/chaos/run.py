"""One run: a Redis, an SMTP server, workers, an application and a storm; afterwards, the judge.

Owns the order of the steps and the deadlines. Everything it starts is stopped by its pid when it ends, however it ends.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from postroom.testing import CertificateKit
from tests.chaos import recovery, report
from tests.chaos.crew import Crew
from tests.chaos.faults import Faults
from tests.chaos.journal import Journal, Transaction
from tests.chaos.judge import Told, judge
from tests.chaos.postbag import Postbag
from tests.chaos.postoffice import PostOffice
from tests.chaos.postroom_side import PostroomSide
from tests.chaos.schedule import SLOTS, Schedule, Strike
from tests.chaos.side import Side
from tests.support.post import Post
from tests.support.valkey import ValkeyServer, find_server
from tests.support.waiting import wait_until

# After the last fault: a lease, twice, and five attempts with their waits; the rest is a loaded machine's.
SETTLE_S = 150.0
PROGRESS_EVERY_S = 15.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Scene:
    """What a run needs around it: a folder that outlives it, and somebody who listens."""

    folder: Path
    say: Say


def run(schedule: Schedule, scene: Scene, against: str = "postroom") -> report.Figures:
    """Run the schedule and return the figures."""
    began_at = time.monotonic()
    is_calm = not schedule.events
    with ExitStack() as stack:
        redis = start_redis(stack, scene.folder)
        office = stack.enter_context(PostOffice(scene.folder, schedule.seed, is_calm=is_calm))
        side = make_side(stack, against, redis, office.port, scene.folder)
        crew = stack.enter_context(Crew(side, scene.folder, SLOTS))
        faults = Faults(crew, redis)
        stack.callback(faults.wake)
        bag = stack.enter_context(Postbag(side, schedule.seed, schedule.posts))
        _weather(schedule, crew, faults, bag, _Progress(scene.say, bag, office.journal, crew))
        scene.say("all is posted and the storm is over; waiting for the rest")
        told = _settle(side, bag, office.journal, scene.say)
        dead = side.dead()
        crew.close()
        # What was told may have been told anew by a worker that woke late: what a sender reads afterwards counts.
        told |= {number: now for number in told if (now := side.told(bag.ids[number])) is not None}
    journal = office.journal.read()
    judgement = judge(bag.posted.values(), journal.transactions, told, crew.struck)
    return {
        "seed": schedule.seed,
        "against": against,
        "mails": len(schedule.posts),
        "kills": faults.done[Strike.KILL],
        "blips": faults.done[Strike.BLIP],
        "connections_cut": faults.connections_cut,
        "restarts": faults.done[Strike.REDIS_START],
        "restarts_by_kill": faults.done[Strike.REDIS_KILL],
        "hangs": faults.done[Strike.REDIS_WAKE],
        "pauses": faults.done[Strike.RESUME],
        **report.figures_of(judgement),
        "dead_letters": dead,
        "workers_deserted": len(crew.deserted),
        "recorder_complaints": office.complaints,
        "slowest_enqueue_s": round(bag.slowest_s, 2),
        "slowest_refusal_s": round(bag.slowest_refusal_s, 2),
        "recovery": report.recovery_figures(_recoveries(crew, bag.ids, journal)),
        "wall_s": round(time.monotonic() - began_at, 1),
    }


def start_redis(stack: ExitStack, folder: Path) -> ValkeyServer:
    """A server that syncs every write, stopped with the stack."""
    program = find_server()
    if program is None:
        raise RuntimeError("no Valkey or Redis server here")
    data = folder / "redis"
    data.mkdir()
    return stack.enter_context(ValkeyServer(program, data, append_only=True))


def make_side(stack: ExitStack, against: str, redis: ValkeyServer, smtp_port: int, folder: Path) -> Side:
    """The side that is asked for, closed with the stack."""
    side: Side
    if against == "stock":
        from tests.chaos.stock_side import StockSide  # noqa: PLC0415 -- its module is an app that wants its settings

        side = StockSide(redis.url, smtp_port)
    else:
        side = PostroomSide(Post(redis.url, folder, CertificateKit(folder).ca_file), smtp_port)
    stack.callback(side.close)
    return side


class _Progress:
    """One line from time to time."""

    def __init__(self, say: Say, bag: Postbag, journal: Journal, crew: Crew) -> None:
        self._say, self._bag, self._journal, self._crew = say, bag, journal, crew
        self._next_at = self._began_at = time.monotonic()

    def tell(self) -> None:
        """Say how far it has got, if it is time."""
        if time.monotonic() < self._next_at:
            return
        self._next_at = time.monotonic() + PROGRESS_EVERY_S
        accepted = len({each.mail for each in self._journal.read().accepted})
        self._say(
            f"{time.monotonic() - self._began_at:5.0f} s: {len(self._bag.posted)} posted, {accepted} accepted, "
            f"{len(self._crew.hands)} workers so far"
        )


def _weather(schedule: Schedule, crew: Crew, faults: Faults, bag: Postbag, progress: _Progress) -> None:
    """Let the mails be posted and the faults strike, each at its time."""
    began_at = time.monotonic()
    bag.start(began_at)

    def is_due(at_s: float) -> bool:
        progress.tell()
        return time.monotonic() >= began_at + at_s

    for event in schedule.events:
        wait_until(lambda at_s=event.at_s: is_due(at_s), schedule.ends_at_s + SETTLE_S)  # type: ignore[misc]
        crew.replace_deserters()
        faults.strike(event)
    while bag.is_running:
        wait_until(lambda: is_due(0) and not bag.is_running, schedule.ends_at_s + SETTLE_S, "the mails to be posted")
    bag.join()


def _settle(side: Side, bag: Postbag, journal: Journal, say: Say) -> dict[int, Told]:
    """Wait until every mail has its outcome and nothing waits any more, or the deadline has come."""
    told: dict[int, Told] = {}

    def is_over() -> bool:
        for number, delivery_id in bag.ids.items():
            if number not in told and (now := side.told(delivery_id)) is not None:
                told[number] = now
        return side.waiting() == 0

    try:
        wait_until(is_over, SETTLE_S, "the queue to be empty")
    except AssertionError:
        say(f"the deadline has come: {side.waiting()} messages are still in the queue")
    say(f"{len(told)} of {len(bag.ids)} have an outcome, {len(journal.read().accepted)} messages accepted")
    return told


def _recoveries(crew: Crew, ids: Mapping[int, str], journal: Journal) -> list[float]:
    numbers = {delivery_id: number for number, delivery_id in ids.items()}
    by_mail: dict[int, list[Transaction]] = defaultdict(list)
    for transaction in journal.transactions:
        by_mail[transaction.mail].append(transaction)
    seconds = []
    for hand in crew.hands:
        if hand.killed_at is None:
            continue
        mails = [numbers[delivery_id] for delivery_id in recovery.held(hand.worker.log) if delivery_id in numbers]
        took_s = recovery.recovery_s(hand.killed_at, mails, by_mail)
        if took_s is not None:
            seconds.append(took_s)
    return seconds

"""All that a run needs around it: a Redis, an SMTP server, workers, and the verdict when it is over.

Owns setting up and clearing away: everything it started is stopped by its pid, however the run ends. What happens in
between is `run`'s and `scenarios`' business.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from postroom.testing import CertificateKit
from tests.chaos import recovery, report
from tests.chaos.crew import Crew
from tests.chaos.journal import Transaction
from tests.chaos.judge import Told, judge, widened
from tests.chaos.mails import mail
from tests.chaos.news import hear
from tests.chaos.postbag import Postbag
from tests.chaos.postoffice import PostOffice
from tests.chaos.postroom_side import PostroomSide
from tests.chaos.side import Capacity, Side
from tests.chaos.stock_side import StockSide
from tests.support.post import Post
from tests.support.valkey import ValkeyServer, find_server
from tests.support.waiting import wait_until

# After the last fault: a lease, twice, and five attempts with their waits; the rest is a loaded machine's.
SETTLE_S = 150.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Setting:
    """What is to be set up: in an empty folder, with somebody who listens to the progress."""

    folder: Path
    say: Say
    seed: int = 1
    workers: int = 3
    is_calm: bool = False
    against: str = "postroom"
    capacity: Capacity = field(default_factory=Capacity)


class Stage:
    """Everything up and ready inside the `with`."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.say = setting.say
        self._began_at = time.monotonic()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        setting, folder = self.setting, self.setting.folder
        program = find_server()
        if program is None:
            raise RuntimeError("no Valkey or Redis server here")
        data = folder / "redis"
        data.mkdir()
        with ExitStack() as stack:
            # Every write is synced (`appendfsync always`): under `everysec` a kill of Redis may lose what it acknowledged
            # within the last second, and that would count as lost mail.
            self.redis = stack.enter_context(ValkeyServer(program, data, append_only=True))
            self.office = stack.enter_context(PostOffice(folder, setting.seed, is_calm=setting.is_calm))
            self.side = self._make_side()
            stack.callback(self.side.close)
            self.crew = stack.enter_context(Crew(self.side, folder, setting.workers))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _make_side(self) -> Side:
        setting, port = self.setting, self.office.port
        if setting.against == "stock":
            return StockSide(self.redis.url, port, setting.capacity)
        post = Post(self.redis.url, setting.folder, CertificateKit(setting.folder).ca_file)
        return PostroomSide(post, port, setting.capacity)

    def settle(self, bag: Postbag) -> dict[int, Told]:
        """Wait until nothing waits any more, or the deadline has come; end the workers, and return what was told."""
        told: dict[int, Told] = {}

        def is_over() -> bool:
            for number, delivery_id in bag.ids.items():
                if number not in told and (now := self.side.told(delivery_id)) is not None:
                    told[number] = now
            return self.side.waiting() == 0

        try:
            wait_until(is_over, SETTLE_S, "the queue to be empty")
        except AssertionError:
            self.say(f"the deadline has come: {self.side.waiting()} messages are still in the queue")
        self.crew.close()
        # What a sender reads afterwards counts: the last may have ended between the two questions, and what was told may
        # have been told anew by a worker that woke late.
        return told | {number: now for number, each in bag.ids.items() if (now := self.side.told(each)) is not None}

    def figures(
        self, bag: Postbag, told: dict[int, Told], outages: Sequence[tuple[float, float]] = ()
    ) -> report.Figures:
        """What it came to, with the times during which Redis was away."""
        struck = widened(self.crew.struck, outages)
        judgement = judge(bag.posted.values(), self.office.journal.read().transactions, told, struck)
        return {
            "seed": self.setting.seed,
            "against": self.setting.against,
            **report.figures_of(judgement),
            **self._news_figures(bag, told),
            "dead_letters": self.side.dead(),
            "workers_deserted": len(self.crew.deserted),
            "workers_stubborn": len(self.crew.stubborn),
            "recorder_complaints": self.office.complaints,
            "slowest_enqueue_s": round(bag.slowest_s, 2),
            "slowest_refusal_s": round(bag.slowest_refusal_s, 2),
            "recovery": report.recovery_figures(self._recoveries(bag)),
            "wall_s": round(time.monotonic() - self._began_at, 1),
        }

    def _news_figures(self, bag: Postbag, told: Mapping[int, Told]) -> report.Figures:
        words = self.side.words()
        if words is None:
            return {}
        wanting = {number: each for number, each in bag.ids.items() if mail(self.setting.seed, number).wants_news}
        return report.news_figures(hear(wanting, told, words))

    def _recoveries(self, bag: Postbag) -> list[float]:
        numbers = {delivery_id: number for number, delivery_id in bag.ids.items()}
        by_mail: dict[int, list[Transaction]] = defaultdict(list)
        for transaction in self.office.journal.transactions:
            by_mail[transaction.mail].append(transaction)
        seconds = []
        for hand in self.crew.hands:
            if hand.killed_at is None:
                continue
            mails = [numbers[delivery_id] for delivery_id in recovery.held(hand.worker.log) if delivery_id in numbers]
            took_s = recovery.recovery_s(hand.killed_at, mails, by_mail)
            if took_s is not None:
                seconds.append(took_s)
        return seconds

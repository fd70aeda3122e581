"""Two accidents by themselves, each with a time that was promised: a worker that dies, a Redis that is away for a minute.

Owns what happens in them and what is wrong if it comes out otherwise. The times are printed and written down; what is
wrong is what the judge says, and a promise that was not kept.
"""

from __future__ import annotations

import time
from itertools import pairwise

from postroom_worker.app import LEASE_S
from tests.chaos import schedule
from tests.chaos.postbag import Postbag
from tests.chaos.report import Figures
from tests.chaos.run import run
from tests.chaos.side import Capacity
from tests.chaos.stage import SETTLE_S, Stage
from tests.support.waiting import wait_until

# Mails that workers hold when one of them dies; some more are handed over, for those that are sent meanwhile.
IN_FLIGHT, KILL_MAILS = 300, 450
KILL_CAPACITY = Capacity(concurrency=250, connections=10)
# What is promised: all sent within the lease and this.
AFTER_LEASE_S = 5.0

# A web request may be made to wait so long for the news that Redis is away.
LONGEST_REFUSAL_S = 6.0


def kill(stage: Stage) -> Figures:
    """`kill -9` of one of two workers with 300 mails in flight; the stage has two workers."""
    with Postbag(stage.side, stage.setting.seed, [0.0] * KILL_MAILS) as bag:
        bag.start(time.monotonic())
        wait_until(lambda: stage.side.held() >= IN_FLIGHT, SETTLE_S, "300 mails in flight")
        in_flight = stage.side.held()
        dead = stage.crew.end(0)
        bag.join()
        told = stage.settle(bag)
    figures = stage.figures(bag, told)
    assert dead.killed_at is not None
    last_s = max((each.accepted_at or 0.0) for each in stage.office.journal.accepted) - dead.killed_at
    promised_s = LEASE_S + AFTER_LEASE_S
    stage.say(
        f"{in_flight} in flight; the last was accepted {last_s:.1f} s after the kill (promised: {promised_s:.0f} s)"
    )
    broken = [] if last_s <= promised_s else [f"the last mail came {last_s:.1f} s after the kill"]
    return {
        "in_flight": in_flight,
        "last_accepted_after_kill_s": round(last_s, 1),
        **figures,
        "promises_broken": broken,
    }


def outage(stage: Stage) -> Figures:
    """Redis stopped for a minute in the middle of 2,000 sends; producers go on trying, and nobody restarts a worker."""
    figures = run(schedule.outage(stage.setting.seed), stage)
    times = sorted(each.accepted_at for each in stage.office.journal.accepted if each.accepted_at is not None)
    silence_s = max((later - earlier for earlier, later in pairwise(times)), default=0.0)
    stage.say(
        f"{figures['enqueues_refused']} refused during the outage, the slowest after {figures['slowest_refusal_s']} s; "
        f"{silence_s:.1f} s without a mail, of which Redis was away for {schedule.OUTAGE_S:.0f}"
    )
    broken = []
    if figures["slowest_refusal_s"] >= LONGEST_REFUSAL_S:
        broken.append(f"a refusal took {figures['slowest_refusal_s']} s")
    if figures["duplicated"]:
        broken.append(f"{figures['duplicated']} mails were sent twice")
    return {"silence_s": round(silence_s, 1), **figures, "promises_broken": broken}

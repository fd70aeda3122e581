"""Mail scheduled over some time, part of it called back, workers killed on the way: what arrived, and when.

Checks that nothing came before its time, nothing that was called back, everything else, and nothing twice without a warning
in its outcome; exits with 1 if that does not hold. Then measures what an idle worker weighs with nothing scheduled and with a
lot. The great run is `--mails 20000 --cancel 5000 --over-s 180 --idle 100000`, and takes five minutes.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]

from postroom import Mailer, Receipt  # noqa: E402 -- after the path is set
from postroom.testing import SmtpServer, at  # noqa: E402
from postroom_worker.app import LEASE_S  # noqa: E402
from tests.support.post import Post, PostroomWorker, a_message  # noqa: E402
from tests.support.valkey import ValkeyServer, connect, find_server  # noqa: E402
from tests.support.waiting import wait_until  # noqa: E402

# How long the server takes to confirm a message that it has: so that a worker that is killed leaves some in doubt.
ANSWER_S = 0.02
# One in so many of those to be called back is called back in the very moment in which it is due.
RACING = 10
# So many are scheduled in a second at the least: the first is due when all are, so that nothing but the sending is timed.
SCHEDULED_PER_S = 400
# The messages of a killed worker come back when their lease is over, and are sent then.
RETURN_S = LEASE_S + 5
# Before a worker is weighed: several rounds of everything that it does every second or every few.
IDLE_S = 5
# For what is under way at the end, and for the messages of the last worker killed.
END_S = 3 * LEASE_S


@dataclass(eq=False)
class Mail:
    """One mail, and what was asked for it."""

    number: int
    due_at: float
    receipt: Receipt
    was_called_back: bool = False


@dataclass
class Run:
    """All mails of a run, and what became of them."""

    mails: list[Mail] = field(default_factory=list)
    killed_at: list[float] = field(default_factory=list)
    too_late: int = 0
    schedule_s: float = 0.0


def main() -> None:
    """Run it, print the figures, and exit with 1 if a promise was broken."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--mails", type=int, default=2000)
    options.add_argument("--cancel", type=int, default=500)
    options.add_argument("--over-s", type=float, default=30)
    options.add_argument("--kills", type=int, default=2)
    options.add_argument("--idle", type=int, default=0, help="weigh an idle worker with so many scheduled mails")
    options.add_argument("--seed", type=int, default=1)
    asked = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        program = find_server()
        assert program is not None, "no Valkey or Redis server here"
        redis = stack.enter_context(ValkeyServer(program, folder))
        server = stack.enter_context(SmtpServer(rules=[at("END_OF_DATA").accepting().delay(ANSWER_S)]))
        mailer = stack.enter_context((post := Post(redis.url, folder, folder)).mailer())
        run = send_on_time(post, mailer, server, asked)
        broken = judge(run, server)
        if asked.idle:
            weigh(post, mailer, asked.idle)
    sys.exit(1 if broken else 0)


def send_on_time(post: Post, mailer: Mailer, server: SmtpServer, asked: argparse.Namespace) -> Run:
    """Schedule, call back and kill, and return when everything has ended."""
    chance, run = random.Random(asked.seed), Run()  # noqa: S311 -- repeatable, and nothing secret
    with ExitStack() as running:
        workers = [running.enter_context(post.worker("--name", f"first{number}@%h")) for number in range(2)]
        started = time.time()
        first_due = started + 1 + asked.mails / SCHEDULED_PER_S
        moments = [first_due + asked.over_s * (number + 1) / (asked.kills + 1) for number in range(asked.kills)]
        followers, stopping = running.enter_context(ExitStack()), threading.Event()

        def follow(number: int) -> PostroomWorker:
            # A name of its own, for it lives while others do.
            return followers.enter_context(post.worker("--name", f"next{number}@%h"))

        killer = threading.Thread(target=kill, args=(server, [*workers], follow, run, moments, stopping))
        killer.start()
        running.callback(killer.join)
        running.callback(stopping.set)
        session = post.session(server, use_ssl=False, password=None)
        for number in range(asked.mails):
            due_at = first_due + chance.random() * asked.over_s
            send_at = datetime.fromtimestamp(due_at, UTC)
            run.mails.append(Mail(number, due_at, mailer.send(a_message(number), session, send_at=send_at)))
        run.schedule_s = time.time() - started
        call_back(run, asked.cancel, chance)
        for mail in run.mails:
            mail.receipt.outcome(timeout=first_due - started + asked.over_s + END_S)
    return run


def call_back(run: Run, count: int, chance: random.Random) -> None:
    """Call mails back, most of them while they wait, some in the moment in which they are due, until it was `count`."""
    chosen = sorted(
        chance.sample(run.mails, min(len(run.mails), count + count // RACING)), key=lambda mail: mail.due_at
    )
    # In the first half only, so that those which take the place of one that was too late still wait.
    racing = chosen[: len(chosen) // 2 : RACING // 2]
    raced = set(racing)
    waiting = [mail for mail in chosen if mail not in raced]
    for _ in range(count - len(racing)):
        _call_back(run, waiting.pop(0))
    for mail in racing:
        time.sleep(max(0.0, mail.due_at + chance.uniform(-0.02, 0.05) - time.time()))
        # Where it was too late, another one takes its place: those that are left are due last.
        if not _call_back(run, mail) and waiting:
            _call_back(run, waiting.pop())


def _call_back(run: Run, mail: Mail) -> bool:
    mail.was_called_back = mail.receipt.cancel()
    run.too_late += not mail.was_called_back
    return mail.was_called_back


def kill(  # noqa: PLR0913, PLR0917 -- what one thread needs to know
    server: SmtpServer,
    workers: list[PostroomWorker],
    follow: Callable[[int], PostroomWorker],
    run: Run,
    moments: list[float],
    stopping: threading.Event,
) -> None:
    """Kill a worker at each moment, in the middle of a transaction if there is one, and start another in its place."""
    for number, moment in enumerate(moments):
        if stopping.wait(max(0.0, moment - time.time())):
            return
        with suppress(AssertionError):  # there is none: it is killed all the same
            wait_until(lambda: server.open_transactions, 2, "a transaction")
        workers.pop(0).kill()
        run.killed_at.append(time.time())
        workers.append(follow(number))


def judge(run: Run, server: SmtpServer) -> bool:
    """Print what came of it, and tell whether a promise was broken."""
    to_wall_clock = time.time() - time.monotonic()
    arrivals: dict[int, list[float]] = {}
    for message in server.messages:
        number = int(str(message.parsed()["Subject"]).removeprefix("Letter "))
        arrivals.setdefault(number, []).append(message.accepted_at + to_wall_clock)
    outcomes = {mail.number: mail.receipt.outcome(timeout=0) for mail in run.mails}
    wanted = [mail for mail in run.mails if not mail.was_called_back]
    twice = [number for number, times in arrivals.items() if len(times) > 1]
    broken = {
        "before their time": sum(min(arrivals[m.number]) < m.due_at for m in wanted if m.number in arrivals),
        "called back and sent": sum(m.number in arrivals for m in run.mails if m.was_called_back),
        "missing": sum(m.number not in arrivals for m in wanted),
        "twice without a warning": sum(not outcomes[number].possible_duplicate for number in twice),
    }
    print(
        f"{len(run.mails)} mails scheduled ({len(run.mails) / run.schedule_s:.0f}/s), {len(run.killed_at)} workers killed"
    )
    print(f"{len(run.mails) - len(wanted)} called back, {run.too_late} more wished back too late")
    print(f"arrived: {len(arrivals)}; twice, with a warning: {len(twice) - broken['twice without a warning']}")
    print("outcomes:", dict(Counter(outcome.state.value for outcome in outcomes.values())))
    for what, count in broken.items():
        print(f"{what}: {count}")
    late = [(m.due_at, arrivals[m.number][0] - m.due_at) for m in wanted if m.number in arrivals]
    calm = [by for due_at, by in late if not any(-1 < due_at - killed_at < RETURN_S for killed_at in run.killed_at)]
    print_lateness("all", [by for _, by in late])
    print_lateness(f"due more than {RETURN_S} s after a kill", calm)
    return any(broken.values())


def print_lateness(whose: str, late: list[float]) -> None:
    """Print how long after their time mails were accepted by the server."""
    if late:
        percentile = sorted(late)[int(len(late) * 0.99)]
        told = f"median {statistics.median(late):.3f} s, 99 of 100 within {percentile:.3f} s, max {max(late):.3f} s"
        print(f"accepted after their time, {whose} ({len(late)}): {told}")


def weigh(post: Post, mailer: Mailer, count: int) -> None:
    """Print what a worker weighs that has nothing to do, with nothing scheduled and with a lot."""
    with connect(post.redis_url) as client:
        client.flushall()
        empty = int(client.info("memory")["used_memory"])
        session = post.session(9, use_ssl=False, password=None)
        with post.worker("--name", "idle@%h") as worker:
            time.sleep(IDLE_S)
            before_kb = resident_kb(worker)
            send_at = datetime.now(UTC) + timedelta(days=1)
            for number in range(count):
                mailer.send(a_message(number), session, send_at=send_at)
            time.sleep(IDLE_S)
            after_kb = resident_kb(worker)
        with post.worker("--name", "idle2@%h") as worker:
            time.sleep(IDLE_S)
            fresh_kb = resident_kb(worker)
        redis_bytes = int(client.info("memory")["used_memory"]) - empty
    print(f"an idle worker: {before_kb} kB; the same with {count} scheduled: {after_kb} kB; a new one: {fresh_kb} kB")
    print(f"in Redis: {redis_bytes / count:.0f} bytes a mail")


def resident_kb(worker: PostroomWorker) -> int:
    """The memory of a worker process."""
    status = Path(f"/proc/{worker.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


if __name__ == "__main__":
    main()

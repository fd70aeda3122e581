"""What a beat sends and when: each slot once, whoever else sends it and however often it is stopped."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from postroom import Mailer
from postroom.beat.agenda import Agenda
from postroom.beat.crontab import Crontab
from postroom.beat.entry import Entry
from postroom.beat.slots import Interval, Rhythm
from postroom.testing import SmtpServer, free_port
from postroom_broker.backlog import Counter as BacklogCounter
from postroom_broker.beats import Beats
from tests.support.post import Post, a_message
from tests.support.redis_proxy import Fault, RedisProxy
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

BERLIN = ZoneInfo("Europe/Berlin")
# The slots of a whole day are sent by one worker to one server on this machine.
DELIVERY_TIMEOUT_S = 60.0
NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def an_entry(name: str, rhythm: Rhythm, **changes: Any) -> Entry:
    """An entry whose mail says which slot it is for."""
    message = {"To": "ann@example.com", "From": "shop@example.com", "Subject": "$name $slot", "Body": "x"}
    fields: dict[str, Any] = {
        "name": name,
        "rhythm": rhythm,
        "zone": BERLIN,
        "session": "shop",
        "message": message,
        "is_template": True,
        "catch_up": timedelta(hours=1),
    }
    return Entry(**(fields | changes))


class Beat:
    """One beat, whose time goes as a test wants it."""

    def __init__(self, mailer: Mailer, redis_url: str, *entries: Entry, now: datetime = NOON) -> None:
        self.now = now
        self.progress = 0
        self._beats = Beats(redis_url, f"beat {id(self)}")
        self._agenda = Agenda(entries, mailer, self._beats, clock=lambda _: self.now, progress=self._note)

    def tick(self, now: datetime | None = None) -> float:
        """Tick at a time."""
        self.now = now or self.now
        return self._agenda.tick()

    def _note(self) -> None:
        self.progress += 1

    def close(self) -> None:
        """End it; what it has not told Redis is lost, as after `kill -9`."""
        self._beats.close()


BeatMaker = Callable[..., Beat]


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    """Where the mail of session "shop" ends."""
    with SmtpServer() as server:
        yield server


@pytest.fixture
def post(redis_url: str, tmp_path: Path, server: SmtpServer) -> Post:
    """Keys, Redis and a session."""
    post = Post(redis_url, tmp_path, tmp_path)
    sessions = tmp_path / "sessions.toml"
    place = f'host = "127.0.0.1"\nport = {server.port}\nuse_ssl = false\nallow_cleartext = true\nanonymous = true\n'
    sessions.write_text(f"[sessions.shop]\n{place}", encoding="utf-8")
    post.more |= {"POSTROOM_SESSIONS_FILE": str(sessions), "SSL_CERT_FILE": ""}
    return post


@pytest.fixture
def mailer(post: Post) -> Iterator[Mailer]:
    """What the beats queue with."""
    with post.mailer() as mailer:
        yield mailer


@pytest.fixture
def beat(mailer: Mailer, redis_url: str) -> Iterator[BeatMaker]:
    """Makes beats, and ends them."""
    beats: list[Beat] = []

    def make(*entries: Entry, now: datetime = NOON) -> Beat:
        beats.append(Beat(mailer, redis_url, *entries, now=now))
        return beats[-1]

    yield make
    for one in beats:
        one.close()


@contextmanager
def told(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What is logged meanwhile."""
    lines: list[str] = []
    with caplog.at_level(logging.INFO, "postroom.beat"):
        caplog.clear()
        yield lines
        lines += [record.getMessage() for record in caplog.records]


def queued(lines: list[str]) -> list[str]:
    """The labels of the slots that were queued, by the log."""
    return [line.split(" slot ")[1].split(" is queued")[0] for line in lines if " is queued" in line]


# A day of simulated time, in which the clocks change, and what must have been sent by the end of it.
SPRING, AUTUMN = datetime(2026, 3, 29, tzinfo=BERLIN), datetime(2026, 10, 25, tzinfo=BERLIN)
EXPECTED: Mapping[str, tuple[str, Mapping[datetime, int]]] = {
    "hourly": ("0 * * * *", {SPRING: 23, AUTUMN: 25}),
    "in the gap or twice": ("30 2 * * *", {SPRING: 1, AUTUMN: 1}),
    "mornings": ("15 1-5 * * *", {SPRING: 5, AUTUMN: 5}),
    "sundays": ("0 18 * * sun", {SPRING: 1, AUTUMN: 1}),
    "mondays": ("0 18 * * mon", {SPRING: 0, AUTUMN: 0}),
    "every 20 minutes": ("", {SPRING: 69, AUTUMN: 75}),
}


def name_of(words: str) -> str:
    """An entry's name has no spaces."""
    return words.replace(" ", "-")


@pytest.mark.parametrize("day", [SPRING, AUTUMN], ids=["clocks go forward", "clocks go back"])
def test_two_beats_and_a_restart_send_each_slot_of_a_day_once(
    beat: BeatMaker, post: Post, server: SmtpServer, day: datetime
) -> None:
    """Two that were started by mistake, both killed on the way and started again half an hour later: the server has all."""
    rhythms = {
        name: Crontab.read(line, BERLIN, None) if line else Interval(1200) for name, (line, _) in EXPECTED.items()
    }
    entries = [an_entry(name_of(name), rhythm) for name, rhythm in rhythms.items()]
    # In absolute time; slots at midnight belong to the day that begins.
    now = day.astimezone(UTC) - timedelta(seconds=1)
    end = (day + timedelta(days=1)).astimezone(UTC) - timedelta(seconds=1)
    # The clocks change in the half hour after it, one way, or an hour later, the other way.
    killed_at = now + timedelta(hours=1, minutes=45)
    dice = random.Random(day.toordinal())  # noqa: S311 -- repeatable, and nothing is protected by it
    two = [beat(*entries), beat(*entries)]
    was_killed = False
    while True:
        # Not in the same order, and not both each time.
        for one in dice.sample(two, dice.choice((1, 2, 2))):
            one.tick(now)
        if now >= end:
            break
        # Sometimes to the second, sometimes after minutes.
        now = min(end, now + timedelta(seconds=dice.choice((1, 17, 240, 660))))
        if now > killed_at and not was_killed:
            two, was_killed = [beat(*entries), beat(*entries)], True
            now += timedelta(minutes=30)

    with post.worker():
        messages = server.wait_for_messages(sum(counts[day] for _, counts in EXPECTED.values()), DELIVERY_TIMEOUT_S)
        wait_until(lambda: backlog(post.redis_url) == 0, DELIVERY_TIMEOUT_S)
        messages = server.messages
    subjects = [message.parsed()["Subject"] for message in messages]
    assert Counter(subject.split()[0] for subject in subjects) == {
        name_of(name): counts[day] for name, (_, counts) in EXPECTED.items() if counts[day]
    }
    # Each says another time, but for those that the clocks skipped and that come together after the gap.
    assert max(Counter(subjects).values()) == 1


def backlog(redis_url: str) -> int:
    """How many messages wait or are held by a worker."""
    counter = BacklogCounter(redis_url)
    try:
        found = counter.count()
    finally:
        counter.close()
    return sum(queue.messages for queue in found.queues.values()) + found.leased


def test_a_new_entry_begins_when_it_is_first_seen(beat: BeatMaker, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody asked for the slots of the past."""
    one = beat(an_entry("new", Interval(60)))
    with told(caplog) as lines:
        one.tick(NOON + timedelta(seconds=30))
        one.tick(NOON + timedelta(seconds=61))

    assert lines[0] == "entry new begins now"
    assert queued(lines) == ["2026-11-25T12:01:00Z"]


def test_what_was_missed_is_sent_in_order_if_it_is_not_too_old(
    beat: BeatMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """What is too old is told, with how many there were: nothing is missed in silence."""
    entry = an_entry("ten", Interval(600), catch_up=timedelta(minutes=25))
    first = beat(entry)
    first.tick()
    first.tick()  # tells Redis
    with told(caplog) as lines:
        second = beat(entry)
        second.tick(NOON + timedelta(hours=1))

    # After each of them it shows that it works: half a day of missed slots may take it minutes.
    assert second.progress == 3
    assert queued(lines) == ["2026-11-25T12:40:00Z", "2026-11-25T12:50:00Z", "2026-11-25T13:00:00Z"]
    told_of = "entry ten: 3 slots after 2026-11-25 12:00:00+00:00, up to 2026-11-25 12:35:00+00:00, were missed"
    assert f"{told_of} and are too old to send" in lines


def test_who_wants_nothing_late_gets_what_is_due(beat: BeatMaker, caplog: pytest.LogCaptureFixture) -> None:
    """A tick is always a moment later than the slot; that is not late."""
    entry = an_entry("prompt", Interval(60), catch_up=timedelta(0))
    one = beat(entry)
    one.tick()
    with told(caplog) as lines:
        one.tick(NOON + timedelta(seconds=61))
        one.tick(NOON + timedelta(seconds=200))

    assert queued(lines) == ["2026-11-25T12:01:00Z"]
    assert any("2 slots after" in line for line in lines)


def test_a_beat_of_another_file_takes_nothing_away(
    beat: BeatMaker, mailer: Mailer, caplog: pytest.LogCaptureFixture
) -> None:
    """It answers for its own slots; what both have is sent once, with the content of who was first."""
    old, new = an_entry("report", Interval(600)), an_entry("report", Interval(1200), values={"name": "other"})
    one, two = beat(old), beat(new)
    one.tick()
    two.tick()
    with told(caplog) as lines:
        two.tick(NOON + timedelta(seconds=1201))
        one.tick(NOON + timedelta(seconds=1201))

    assert queued(lines) == ["2026-11-25T12:20:00Z", "2026-11-25T12:10:00Z"]
    assert "entry report: slot 2026-11-25T12:20:00Z was sent already, with another content" in lines


def test_an_entry_that_is_refused_keeps_no_other_from_its_mail(
    beat: BeatMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """A template may be filled with something that makes no valid message, on one day and not on another."""
    bad = an_entry("bad", Interval(60), message={"To": "$day", "From": "shop@example.com", "Body": "x"})
    one = beat(bad, an_entry("good", Interval(60)))
    one.tick()
    with told(caplog) as lines:
        one.tick(NOON + timedelta(seconds=60))
        one.tick(NOON + timedelta(seconds=119))

    assert lines == [
        "entry bad: slot 2026-11-25T12:01:00Z is refused (1300)",
        next(line for line in lines if line.startswith("entry good: slot 2026-11-25T12:01:00Z is queued as ")),
    ]


def test_a_slot_whose_time_is_over_is_refused_and_told(beat: BeatMaker, caplog: pytest.LogCaptureFixture) -> None:
    """What was missed for longer than the mail is worth anything."""
    one = beat(an_entry("short", Interval(60), expires_after=timedelta(seconds=1)), now=NOON - timedelta(days=300))
    one.tick()
    with told(caplog) as lines:
        one.tick(NOON - timedelta(days=300) + timedelta(minutes=1))

    assert [line for line in lines if "is refused (1004)" in line]


def test_a_clock_set_back_repeats_nothing(beat: BeatMaker, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the beat that saw it nor in one that is started afterwards."""
    entry = an_entry("often", Interval(60))
    one = beat(entry)
    with told(caplog) as lines:
        for seconds in (0, 60, 120, 30, 90, 180):
            one.tick(NOON + timedelta(seconds=seconds))
        beat(entry).tick(NOON + timedelta(seconds=90))

    assert queued(lines) == [f"2026-11-25T12:0{minute}:00Z" for minute in (1, 2, 3)]


def test_a_clock_that_was_far_ahead_silences_nothing(beat: BeatMaker, caplog: pytest.LogCaptureFixture) -> None:
    """A server a day ahead for a moment: its entries go on with the right time, and it is told."""
    one = beat(an_entry("often", Interval(60)))
    one.tick()
    one.tick(NOON + timedelta(days=1))
    with told(caplog) as lines:
        for minute in (1, 2, 3):
            one.tick(NOON + timedelta(minutes=minute))

    assert queued(lines) == ["2026-11-25T12:02:00Z", "2026-11-25T12:03:00Z"]
    assert [line for line in lines if "Redis' clock was set back" in line]


def test_what_fell_due_while_an_entry_was_off_is_not_sent_late(
    beat: BeatMaker, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever switched it off did not want it; and the beat does not wake for it."""
    on, other = an_entry("ten", Interval(600)), an_entry("other", Interval(3600))
    off = an_entry("ten", Interval(600), is_enabled=False)
    for entry, minutes in ((on, (0, 10, 11)), (off, (12, 45, 46))):
        one = beat(entry, other)
        for minute in minutes:
            one.tick(NOON + timedelta(minutes=minute))
    with told(caplog) as lines:
        again = beat(on, other)
        for minute in (47, 51):
            again.tick(NOON + timedelta(minutes=minute))

    assert queued(lines) == ["2026-11-25T12:50:00Z"]
    assert not [line for line in lines if "were missed" in line]
    assert beat(off).tick(NOON + timedelta(minutes=59, seconds=59, milliseconds=500)) == 1.0


def test_a_bug_in_one_entry_keeps_no_other_from_its_mail(beat: BeatMaker, caplog: pytest.LogCaptureFixture) -> None:
    """It is told by its kind and place, tried again after a minute, and told as missed when it is too old."""
    bad = an_entry("bad", Interval(600), message={"To": "$secret", "From": "shop@example.com"})
    one = beat(bad, an_entry("good", Interval(600)))
    one.tick()
    with told(caplog) as lines:
        for seconds in (600, 601, 659, 661, 4260):
            one.tick(NOON + timedelta(seconds=seconds))

    bugs = [line for line in lines if line.startswith("entry bad: slot ")]
    assert [line.split(" slot ")[1].split(": KeyError")[0] for line in bugs] == [
        "2026-11-25T12:10:00Z met a bug",
        "2026-11-25T12:10:00Z met a bug",
        "2026-11-25T12:20:00Z met a bug",
    ]
    assert [line.split(" after ")[0] for line in lines if "were missed" in line] == ["entry bad: 1 slots"]
    assert queued(lines)[0] == "2026-11-25T12:10:00Z"
    assert "secret" not in str(lines)


def test_redis_away_is_told_once_and_loses_nothing(
    valkey: ValkeyServer, post: Post, mailer: Mailer, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the slot was taken in and the answer lost: it is asked for again under its id."""
    mailer.send(a_message(), "shop")  # the server knows the script from now on, so that the call that is cut takes in
    with RedisProxy(valkey.port, b"postroom.delivery.", Fault.CUT_AFTER, times=1) as proxy:
        post.more["POSTROOM_BROKER_URL"] = proxy.url
        with post.mailer() as through_proxy:
            one = Beat(through_proxy, post.redis_url, an_entry("often", Interval(60)))
            one.tick()
            with told(caplog) as lines:
                pauses = [one.tick(NOON + timedelta(seconds=60)) for _ in range(2)]
            one.close()

    assert pauses[0] == 1.0
    assert [line.startswith("Redis is away") for line in lines] == [True, False]
    assert queued(lines) == ["2026-11-25T12:01:00Z"]
    assert backlog(post.redis_url) == 2


def test_a_beat_without_redis_goes_on_ticking(mailer: Mailer, caplog: pytest.LogCaptureFixture) -> None:
    """It says so once, and waits for it."""
    one = Beat(mailer, f"redis://127.0.0.1:{free_port()}/0", an_entry("often", Interval(60)))
    with told(caplog) as lines:
        assert [one.tick(), one.tick()] == [1.0, 1.0]
    one.close()

    assert len(lines) == 1


@pytest.mark.parametrize(("second", "pause_s"), [(59, 1.0), (59.75, 0.25), (10, 1.0)])
def test_the_pause_ends_at_the_next_slot(beat: BeatMaker, second: float, pause_s: float) -> None:
    """And is a second at the most, in which a beat shows that it lives."""
    assert beat(an_entry("often", Interval(60))).tick(NOON + timedelta(seconds=second)) == pause_s

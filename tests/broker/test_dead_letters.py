"""The list of dead letters on a real server: what is known of an entry, and that each is taken out once."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroom.testing import free_port
from postroom_broker.connection import connect
from postroom_broker.dead_letters import PAGE, DeadLetter, DeadLetters
from postroom_broker.death_reasons import DeathReason
from postroom_broker.keys import DEAD as DEAD_KEY
from postroom_broker.ledger.record import record_key
from postroom_broker.task_message import SealedDelivery, task_message
from postroom_broker.transport import envelope
from postroom_broker.transport.names import Terms
from postroom_broker.transport.returns import Returns
from postroom_contract.errors import BrokerUnavailable
from postroom_contract.names import QUEUE_NORMAL, TASK_DELIVER
from tests.broker.transport.conftest import NAMES, message
from tests.support import valkey as direct

TERMS = Terms(20.0, 3)
MANY = 10_000


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    """A plain client, with which the test looks and prepares."""
    with direct.connect(redis_url) as client:
        yield client


@pytest.fixture
def operator(redis_url: str) -> Iterator[Callable[[], DeadLetters]]:
    """Make an operator: a list with a client of its own."""
    clients = []

    def make() -> DeadLetters:
        clients.append(connect(redis_url))
        return DeadLetters(clients[-1])

    yield make
    for each in clients:
        each.close()


@pytest.fixture
def letters(operator: Callable[[], DeadLetters]) -> DeadLetters:
    """The list, as one operator has it."""
    return operator()


def bury(client: Any, text: str | bytes, reason: DeathReason = DeathReason.REJECTED) -> None:
    """Have the transport bury a message that a worker holds."""
    record = (text.encode() if isinstance(text, str) else text).join((b"[", b',"","' + QUEUE_NORMAL.encode() + b'"]'))
    client.hset(NAMES.unacked, "lease:1", record)
    client.zadd(NAMES.index, {"lease:1": time.time()})
    Returns(client, NAMES, TERMS).bury("lease:1", reason)


def fill(client: Any, count: int) -> list[str]:
    """Put so many messages into the list, the oldest first, and return their ids."""
    names = [f"d{number}" for number in range(count)]
    kept = [envelope.dead(message(n), reason="rejected", deliveries=1, queue=QUEUE_NORMAL) for n in names]
    client.rpush(DEAD_KEY, *kept)
    return names


def queued(client: Any, queue: str = QUEUE_NORMAL) -> list[str]:
    """The ids in a queue, the next to be consumed first."""
    return [json.loads(text)["headers"]["id"] for text in reversed(client.lrange(queue, 0, -1))]


def only(letters: DeadLetters) -> DeadLetter:
    """The one entry there is."""
    (letter,) = letters.scan()
    return letter


def test_all_that_is_known_in_the_clear_is_told(client: Any, letters: DeadLetters) -> None:
    """Id, task and retries from the headers, the rest from the transport; what is sealed is not even in the repr."""
    text = task_message(SealedDelivery("an-id", QUEUE_NORMAL, "v1.sealed"))
    bury(client, text, DeathReason.UNREADABLE)
    letter = only(letters)

    assert (letter.delivery_id, letter.task, letter.retries) == ("an-id", TASK_DELIVER, 0)
    assert (letter.reason, letter.queue, letter.deliveries) == ("unreadable", QUEUE_NORMAL, 1)
    assert letter.died_at is not None
    assert datetime.fromisoformat(letter.died_at).tzinfo is not None
    assert letter.size == len(text)
    assert len(letter.handle) == 16
    assert "v1.sealed" not in repr(letter)


def test_a_requeued_message_starts_anew(client: Any, letters: DeadLetters) -> None:
    """It may be given out as often as a new one before it is dead again, and still says that it was given out before."""
    text, _ = envelope.redelivered(message("a"), in_vain=True)
    text, deliveries = envelope.redelivered(text, in_vain=True)
    bury(client, text, DeathReason.TOO_MANY_DELIVERIES)
    assert letters.requeue(only(letters))
    assert letters.count() == 0
    raw = client.rpop(QUEUE_NORMAL)
    info = json.loads(raw)["properties"]["delivery_info"]

    assert deliveries == TERMS.most_deliveries - 1
    assert info == {"exchange": "", "routing_key": QUEUE_NORMAL, "redelivered": True}
    assert envelope.redelivered(raw.decode(), in_vain=True)[1] == 1


def test_what_was_never_given_out_before_does_not_say_so(client: Any, letters: DeadLetters) -> None:
    """A message rejected at its first delivery is as it was."""
    bury(client, message("a"))
    letters.requeue(only(letters))

    assert json.loads(client.rpop(QUEUE_NORMAL)) == json.loads(message("a"))


def test_requeued_messages_wait_behind_the_others(client: Any, letters: DeadLetters) -> None:
    """What killed workers before does not keep new mail waiting."""
    bury(client, message("dead"))
    client.lpush(QUEUE_NORMAL, message("waiting"))
    letters.requeue(only(letters))

    assert queued(client) == ["waiting", "dead"]


def test_a_dropped_message_is_gone(client: Any, letters: DeadLetters) -> None:
    """From the list, and into no queue; a second time there is nothing to drop or to requeue."""
    bury(client, message("a"))
    letter = only(letters)

    assert letters.drop(letter)
    assert not letters.drop(letter)
    assert not letters.requeue(letter)
    assert client.keys() == []


@pytest.mark.parametrize("deeds", [("requeue", "requeue"), ("requeue", "drop")], ids=" and ".join)
def test_two_operators_at_once_do_it_once(
    client: Any, operator: Callable[[], DeadLetters], deeds: tuple[str, str]
) -> None:
    """Of each entry both have seen, exactly one gets hold, and what is requeued is in its queue once."""
    names = fill(client, 300)
    start = threading.Barrier(len(deeds))
    done: list[list[str]] = [[] for _ in deeds]

    def work(deed: str, mine: list[str]) -> None:
        letters = operator()
        seen = list(letters.scan())
        start.wait(30)
        mine += [str(letter.delivery_id) for letter in seen if getattr(letters, deed)(letter)]

    operators = [threading.Thread(target=work, args=pair) for pair in zip(deeds, done, strict=True)]
    for each in operators:
        each.start()
    for each in operators:
        each.join(60)

    assert sorted(done[0] + done[1]) == sorted(names)
    requeued = [name for deed, mine in zip(deeds, done, strict=True) if deed == "requeue" for name in mine]
    assert sorted(queued(client)) == sorted(requeued)
    assert client.exists(DEAD_KEY) == 0


def test_a_long_list_is_read_in_pages(client: Any, letters: DeadLetters) -> None:
    """Ten thousand entries: all come, the newest first, and no call asks for more than a page."""
    names = fill(client, MANY)
    client.config_resetstat()
    seen = [letter.delivery_id for letter in letters.scan()]

    assert seen == names[::-1]
    assert client.info("commandstats")["cmdstat_lrange"]["calls"] == -(-MANY // PAGE)


def test_one_of_a_long_list_is_found_and_taken(client: Any, letters: DeadLetters) -> None:
    """Wherever it stands, by its id and by its handle, and the others stay."""
    names = fill(client, MANY)
    for name in (names[0], names[MANY // 2], names[-1]):
        (letter,) = letters.find([name])[name]
        assert letters.find([letter.handle])[letter.handle] == [letter]
        assert letters.requeue(letter)

    assert queued(client) == [names[0], names[MANY // 2], names[-1]]
    assert letters.count() == MANY - 3


def test_a_long_list_is_requeued_while_it_is_read(client: Any, letters: DeadLetters) -> None:
    """Each of ten thousand is requeued once although the list grows shorter under the reader."""
    names = fill(client, MANY)

    assert all(letters.requeue(letter) for letter in letters.scan())
    assert sorted(queued(client)) == sorted(names)


def test_nobody_is_left_out_while_others_take_some(client: Any, letters: DeadLetters) -> None:
    """Entries vanish at both ends between two pages, and new ones come: what stays is seen, and there is an end."""
    names = fill(client, 5 * PAGE)
    seen = []
    for number, letter in enumerate(letters.scan()):
        seen.append(letter.delivery_id)
        if number % PAGE == 0:
            client.lpop(DEAD_KEY, 3)
            client.rpop(DEAD_KEY, 2)
        client.rpush(DEAD_KEY, envelope.dead(message("new"), reason="rejected", deliveries=1, queue="q"))
    still_there = {letter.delivery_id for letter in letters.scan()} & set(names)

    assert still_there
    assert still_there <= set(seen)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"{", b'{"properties": 1}', b"\xf0\x9f", b"null"])
def test_what_cannot_be_read_has_a_handle_and_can_be_dropped(client: Any, letters: DeadLetters, raw: bytes) -> None:
    """It has no id, says how large it is, is never put back into a queue, and can be taken out by its handle."""
    bury(client, raw, DeathReason.UNREADABLE)
    handle = only(letters).handle
    (letter,) = letters.find([handle])[handle]

    assert (letter.delivery_id, letter.task, letter.reason, letter.size) == (None, None, "unreadable", len(raw))
    assert not letter.can_be_requeued
    with pytest.raises(envelope.UnreadableMessage):
        letters.requeue(letter)
    assert letters.count() == 1
    assert letters.drop(letter)
    assert client.keys() == []


@pytest.mark.parametrize(
    "entry",
    [
        b"rubbish",
        b"\xff",
        b"[]",
        b'{"message": 1}',
        json.dumps({"message": message("a")}).encode(),
        json.dumps({"message": message("a"), "queue": "", "reason": "rejected"}).encode(),
    ],
)
def test_what_came_from_nobody_knows_where_can_only_be_dropped(client: Any, letters: DeadLetters, entry: bytes) -> None:
    """An entry that names no queue, or that the transport has not written, is shown all the same."""
    client.rpush(DEAD_KEY, entry)
    letter = only(letters)

    assert not letter.can_be_requeued
    assert letters.drop(letter)
    assert letters.count() == 0


@given(entry=st.binary())
def test_any_bytes_are_an_entry(entry: bytes) -> None:
    """Whatever somebody has pushed into the list, it can be listed."""
    assert DeadLetter.read(entry).entry == entry


def test_what_another_version_could_not_read_is_requeued_by_one_that_can(client: Any, letters: DeadLetters) -> None:
    """Its reason does not decide, the message does."""
    bury(client, message("a"), DeathReason.UNREADABLE)

    assert letters.requeue(only(letters))
    assert queued(client) == ["a"]


def test_an_id_with_several_entries_finds_them_all(client: Any, letters: DeadLetters) -> None:
    """Each has its own handle; the newest comes first."""
    bury(client, message("a", n=1))
    bury(client, message("a", n=2))
    bury(client, message("b"))
    found = letters.find(["a", "c"])

    assert [json.loads(letter.revived or "")["headers"]["n"] for letter in found["a"]] == [2, 1]
    assert len({letter.handle for letter in found["a"]}) == 2
    assert found["c"] == []


def test_of_two_entries_alike_one_is_taken_at_a_time(client: Any, letters: DeadLetters) -> None:
    """They have one handle, count as one for whoever looks for it, and the second stays where it is."""
    entry = envelope.dead(message("a"), reason="rejected", deliveries=1, queue=QUEUE_NORMAL)
    client.rpush(DEAD_KEY, entry, entry)
    (letter,) = letters.find(["a"])["a"]

    assert letters.requeue(letter)
    assert letters.count() == 1
    assert queued(client) == ["a"]


def test_nothing_is_taken_where_the_queue_is_no_list(client: Any, letters: DeadLetters) -> None:
    """The refusal of Redis is told, and the entry is still there."""
    client.set("taken", "text", ex=60)
    entry = envelope.dead(message("a"), reason="rejected", deliveries=1, queue="taken")
    client.rpush(DEAD_KEY, entry)

    with pytest.raises(BrokerUnavailable, match="WRONGTYPE"):
        letters.requeue(only(letters))
    assert letters.count() == 1


def test_a_message_is_requeued_on_a_full_server(client: Any, letters: DeadLetters) -> None:
    """It takes no more memory than before, so a server without any lets it through."""
    bury(client, message("a"))
    letter = only(letters)
    client.config_set("maxmemory", 1)
    try:
        assert letters.requeue(letter)
    finally:
        client.config_set("maxmemory", 0)
    assert queued(client) == ["a"]


def test_redis_away_is_told_as_ours() -> None:
    """Every step raises `BrokerUnavailable`."""
    client = connect(f"redis://127.0.0.1:{free_port()}/0")
    letters = DeadLetters(client)
    letter = DeadLetter.read(envelope.dead(message("a"), reason="rejected", deliveries=1, queue="q").encode())
    steps: list[Callable[[], object]] = [
        letters.count,
        lambda: list(letters.scan()),
        lambda: letters.requeue(letter),
        lambda: letters.drop(letter),
    ]
    for step in steps:
        with pytest.raises(BrokerUnavailable):
            step()
    client.close()


# The delivery's record follows


def record_of(client: Any, letters: DeadLetters, **fields: str) -> Any:
    """Have a dead letter whose delivery the ledger knows, and a function that reads its record."""
    bury(client, task_message(SealedDelivery("an-id", QUEUE_NORMAL, "v1.sealed")))
    client.hset(record_key("an-id"), mapping={"state": "held", **fields})
    client.expire(record_key("an-id"), 60)
    assert only(letters).delivery_id == "an-id"
    return lambda *names: client.hmget(record_key("an-id"), *names)


def test_what_is_requeued_is_queued_again_and_keeps_its_doubt(client: Any, letters: DeadLetters) -> None:
    """The next worker has to know that an earlier one may have sent it."""
    read = record_of(client, letters, committed="lease:a.1.1", progress="sealed")
    assert letters.requeue(only(letters))

    assert read("state", "committed", "progress", "ended") == [b"queued", b"lease:a.1.1", b"sealed", None]


@pytest.mark.parametrize(
    ("fields", "state", "error"),
    [
        ({}, b"cancelled", "CancelledException"),
        ({"committed": "lease:a.1.1"}, b"unknown", "UnknownOutcomeException"),
        ({"progress": "sealed"}, b"unknown", "UnknownOutcomeException"),
    ],
)
def test_what_is_dropped_is_over(
    client: Any, letters: DeadLetters, fields: dict[str, str], state: bytes, error: str
) -> None:
    """Cancelled where nobody can have got it, unknown where somebody may have; whoever waits is told."""
    read = record_of(client, letters, **fields)
    assert letters.drop(only(letters))
    result = json.loads(client.get("celery-task-meta-an-id"))

    assert read("state", "committed", "progress") == [state, None, None]
    assert client.ttl(record_key("an-id")) > 60
    assert (result["status"], result["result"]["exc_type"]) == ("FAILURE", error)


def test_what_is_over_already_stays_as_it_is(client: Any, letters: DeadLetters) -> None:
    """It was called back while it lay there."""
    read = record_of(client, letters, state="cancelled", ended="60")
    assert letters.drop(only(letters))

    assert read("state") == [b"cancelled"]
    assert client.get("celery-task-meta-an-id") is None

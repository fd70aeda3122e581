"""The check of what moves through the broker: workers, rings, leases and queues."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postroom_broker import keys
from postroom_broker.checkup.traffic import Here, check_traffic, check_workers
from postroom_broker.connection import connect
from postroom_broker.ledger.orders import Identity, Orders
from postroom_broker.presence import Presence, digests_of, show
from postroom_broker.task_message import SealedDelivery
from postroom_broker.transport.names import front_of
from postroom_contract.finding import Finding
from postroom_contract.finding_codes import FindingCode
from postroom_contract.names import QUEUE_NORMAL
from postroom_contract.sealing import Keyring, generate_key
from tests.support import valkey

RING = Keyring.parse(generate_key("ours"))
WORKER = Presence("w@here", "1", 200, 20.0, RING.ids, digests_of(RING), digests_of(RING))


def codes(findings: list[Finding]) -> list[FindingCode]:
    """What was found, in order."""
    return [finding.code for finding in findings]


def test_idle_broker_with_a_worker(each_redis_url: str) -> None:
    """On each kind of server: the worker is there with the same keys, and nothing waits."""
    with connect(each_redis_url) as client:
        show(client, "one", WORKER)
    found = check_traffic(each_redis_url, Here("1", RING, RING))

    assert codes(found) == [FindingCode.WORKERS_ALIVE, FindingCode.WORKER_KEYS_EQUAL, FindingCode.QUEUE_MOVES]


def test_worker_that_stands_still() -> None:
    """It lives, but sends nothing."""
    found = list(check_workers([WORKER.standing_still_for(30)], Here("1")))

    assert codes(found) == [FindingCode.WORKERS_ALIVE, FindingCode.WORKER_STUCK]
    assert found[1].about == "w@here"


def test_worker_of_another_version() -> None:
    """Both versions are told."""
    (_, finding) = check_workers([replace(WORKER, version="2")], Here("1"))

    assert finding.code is FindingCode.WORKER_VERSION_DIFFERS
    assert finding.facts == {"there": "2", "here": "1"}


def test_two_workers_of_one_name_are_told_apart() -> None:
    """One of them cannot open what is queued, and the other is not blamed for it, whichever comes first."""
    other = Keyring.parse(generate_key("theirs"))
    stranger = replace(WORKER, key_ids=other.ids, key_digests=digests_of(other))
    for workers in ([WORKER, stranger], [stranger, WORKER]):
        (_, shared, finding) = check_workers(workers, Here("1", RING))

        assert (shared.code, shared.facts) == (FindingCode.WORKERS_OF_ONE_NAME, {"count": 2})
        assert finding.code is FindingCode.WORKER_KEYS_DIFFER
        assert finding.facts["there"] == "theirs"


def test_worker_without_a_secret_for_webhooks() -> None:
    """A matter of whoever has a webhook told; of an older worker nobody knows."""
    bare = replace(WORKER, name="x@here", has_webhook_secret=False)

    (_, finding) = check_workers([WORKER, bare], Here("1", has_webhook=True))
    assert (finding.code, finding.about) == (FindingCode.WEBHOOK_SECRET_MISSING, "x@here")
    assert codes(list(check_workers([bare], Here("1")))) == [FindingCode.WORKERS_ALIVE]


def test_one_worker_of_two_with_other_keys() -> None:
    """It is named, with the ids of both rings and no digest."""
    other = Keyring.parse(generate_key("theirs"))
    stranger = replace(WORKER, name="x@here", key_ids=other.ids, key_digests=digests_of(other))
    found = list(check_workers([WORKER, stranger], Here("1", RING)))

    assert codes(found) == [FindingCode.WORKERS_ALIVE, FindingCode.WORKER_KEYS_DIFFER]
    assert found[1].about == "x@here"
    assert found[1].facts == {"here": "ours", "there": "theirs"}


def test_leases_are_told_by_their_oldest(redis_url: str) -> None:
    """Those of stock workers, which renew nothing, are left out."""
    with valkey.connect(redis_url) as client:
        now_s = client.time()[0]
        client.zadd(keys.UNACKED_INDEX, {"lease:a": now_s - 4, "lease:b": now_s, "stock": now_s - 3000})
        (renewed,) = [finding for finding in check_traffic(redis_url, Here("1")) if "lease" in finding.code]
        client.zadd(keys.UNACKED_INDEX, {"lease:a": now_s - 40})
        (lapsed,) = [finding for finding in check_traffic(redis_url, Here("1")) if "lease" in finding.code]

    assert (renewed.code, renewed.facts["count"]) == (FindingCode.LEASES_RENEWED, 2)
    assert (lapsed.code, lapsed.facts["count"]) == (FindingCode.LEASES_LAPSED, 1)


@pytest.mark.parametrize("is_at_front", [False, True])
def test_queue_is_as_old_as_what_it_gives_out_next(redis_url: str, *, is_at_front: bool) -> None:
    """Whether the message lies in the queue or just before it; a younger one behind it says nothing."""
    with connect(redis_url) as client:
        orders = Orders(client, has_results=True)
        for name in ("old", "young"):
            orders.enter(SealedDelivery(name, QUEUE_NORMAL, "payload"), Identity(["print"]))
        if is_at_front:
            client.lmove(QUEUE_NORMAL, front_of(QUEUE_NORMAL), "RIGHT", "LEFT")
        client.hset("postroom.delivery.old", "due", "1000")
        (finding,) = [each for each in check_traffic(redis_url, Here("1")) if each.code is FindingCode.QUEUE_OLD]

    assert finding.about == QUEUE_NORMAL
    assert finding.facts["count"] == 2


@pytest.mark.parametrize("rubbish", [b"", b"no json", b"[]", b'{"properties": {"delivery_info": {"routing_key": ""}}}'])
def test_foreign_message_has_no_age(redis_url: str, rubbish: bytes) -> None:
    """What is no message of ours is counted, and stops nothing."""
    with connect(redis_url) as client:
        client.lpush(QUEUE_NORMAL, rubbish)
        found = check_traffic(redis_url, Here("1"))
        client.delete(QUEUE_NORMAL)

    assert found[-1].code is FindingCode.QUEUE_MOVES
    assert found[-1].facts == {"count": 1}


def test_held_messages_are_a_note(redis_url: str) -> None:
    """An operator has to decide about them."""
    with connect(redis_url) as client:
        client.zadd(keys.HELD, {"d1": 1})
        assert codes(check_traffic(redis_url, Here("1")))[-1] is FindingCode.HELD_MESSAGES

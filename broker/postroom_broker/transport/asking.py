"""How a channel asks for mail: it claims what is there, and waits in each queue when nothing is.

Owns the connections for both and what is asked on them. A claim takes as many messages as there are free slots; a wait
moves one message to the front of its queue, which wakes one consumer and no other. Poller and channel call it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from functools import partial
from queue import Empty
from typing import Any

from kombu.log import get_logger
from redis.exceptions import NoScriptError, RedisError, ResponseError

from postroom_broker.transport.custody import shows_life
from postroom_broker.transport.link import Link, LinkLost
from postroom_broker.transport.names import front_of
from postroom_broker.transport.scripts import CLAIM, STEP_BACK, Argument

logger = get_logger(__name__)

# How many messages one claim takes at most: more would gain little speed, and leave nothing for other idle workers.
MOST_PER_CLAIM = 32
# Each how many-eth turn goes to a less urgent queue first: of three queues the second and third get a tenth each.
RESERVED_TURNS = 5
# How many queues are waited for, a connection each; kombu's pool has ten. Others are looked at every second.
MOST_WATCHED = 6
# How long one wait lasts, and how often an idle consumer looks everywhere: for what a consumer that died had moved.
WAIT_S = 1

CLAIM_ROLE = "CLAIM"


class Asking:
    """The questions of one channel."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel
        self._claim_link: Link | None = None
        self._watches: dict[str, Link] = {}
        self._may_have_mail = True
        self._claimed_at = float("-inf")
        self._asked_for: list[str] = []
        self._turns = 0
        self._server_knows_claim = True
        self._rests_until = float("-inf")
        self._is_refused = False

    def links(self) -> list[Link]:
        """All connections on which there may be an answer to wait for."""
        return [link for link in (self._claim_link, *self._watches.values()) if link is not None]

    def look_again(self) -> None:
        """Claim before waiting: there is a new queue."""
        self._may_have_mail = True

    def ask(self) -> None:
        """Claim as many messages as there are free slots; when there were none, wait for one in each queue."""
        if not self._channel.qos.can_consume() or not shows_life() or time.monotonic() < self._rests_until:
            return
        keys = self._queue_keys()
        if self._may_have_mail:
            self._ask_claim(keys)
        else:
            for key, _ in keys[:MOST_WATCHED]:
                self._watch(key)

    def claim_now(self, queue: str) -> tuple[str, bytes] | None:
        """Claim one message of a queue and wait for the answer: its lease and its text, or None."""
        names = self._channel.custody.names
        keys = [(names.queue(queue, step), queue) for step in self._channel.priority_steps]
        names_of_lists, arguments = self._claim(keys, most=1)
        answer = CLAIM(self._channel.custody.client, names_of_lists, arguments)
        return (answer[1].decode(), answer[2]) if answer else None

    def note_disconnect(self, connection: Any) -> None:
        """Expect no more answers on a connection that was closed."""
        for link in self.links():
            if link.connection is connection:
                link.asked_at = None

    def close(self, *, is_abandoned: bool) -> None:
        """Close the connections; unless they broke, put back what nobody has seen."""
        unseen: list[str] = []
        if not is_abandoned and self._claim_link is not None and self._claim_link.is_waiting:
            try:
                unseen = [lease.decode() for lease in self._claim_link.read()[1::3]]
            except (LinkLost, ResponseError):
                logger.debug("The last claim stays unanswered: what it took comes back when its leases lapse")
        for link in self.links():
            link.close()
        if is_abandoned:
            return
        custody = self._channel.custody
        try:
            custody.returns.hand_back(unseen, in_vain=False)
            if self._watches:
                STEP_BACK(custody.client, [name for key in self._watches for name in (front_of(key), key)])
        except (RedisError, OSError):
            logger.debug("The broker is away: other consumers look at the fronts")

    def _queue_keys(self) -> list[tuple[str, str]]:
        channel, names = self._channel, self._channel.custody.names
        return [(names.queue(queue, step), queue) for step in channel.priority_steps for queue in channel.active_queues]

    def _ask_claim(self, keys: Sequence[tuple[str, str]]) -> None:
        if self._claim_link is None:
            self._claim_link = Link(self._channel.async_pool, CLAIM_ROLE)
            self._channel.handlers[CLAIM_ROLE] = self._read_claim
        self._channel.connection.cycle.connect(self._channel, self._claim_link)
        if self._claim_link.is_waiting:
            return
        credit = self._channel.qos.can_consume_max_estimate()
        most = MOST_PER_CLAIM if credit is None else max(1, min(credit, MOST_PER_CLAIM))
        self._asked_for = [queue for _, queue in keys]
        script = ("EVALSHA", CLAIM.sha) if self._server_knows_claim else ("EVAL", CLAIM.text)
        names_of_lists, arguments = self._claim(keys, most)
        self._claim_link.ask(*script, len(names_of_lists), *names_of_lists, *arguments)

    def _claim(self, keys: Sequence[tuple[str, str]], most: int) -> tuple[list[str], list[Argument]]:
        names, leases = self._channel.custody.names, self._channel.custody.leases
        lists = [name for key, _ in keys for name in (front_of(key), key)]
        queues = [json.dumps(queue) for _, queue in keys]
        return [names.unacked, names.index, *lists], [most, self._turns, RESERVED_TURNS, leases.next_prefix(), *queues]

    def _read_claim(self) -> bool:
        assert self._claim_link is not None
        self._may_have_mail = True
        try:
            answer = self._claim_link.read()
        except LinkLost:
            raise Empty from None
        except NoScriptError:
            self._server_knows_claim = False
            raise Empty from None
        except ResponseError as refused:
            self._rest(refused)
            raise Empty from None
        self._server_knows_claim = True
        self._claimed_at = time.monotonic()
        self._may_have_mail = bool(answer)
        if not answer:
            raise Empty
        for queue, lease, raw in self._rows(answer):
            self._turns += 1
            self._channel.take(queue, lease, raw)
        return True

    def _rows(self, answer: Sequence[Any]) -> Iterator[tuple[str, str, bytes]]:
        for number, lease, raw in zip(answer[::3], answer[1::3], answer[2::3], strict=True):
            yield self._asked_for[number - 1], lease.decode(), raw

    def _watch(self, key: str) -> None:
        if key not in self._watches:
            role = f"WATCH {key}"
            self._watches[key] = Link(self._channel.async_pool, role)
            self._channel.handlers[role] = partial(self._read_watch, key)
        watch = self._watches[key]
        self._channel.connection.cycle.connect(self._channel, watch)
        if not watch.is_waiting:
            watch.ask("BLMOVE", key, front_of(key), "RIGHT", "LEFT", WAIT_S)

    def _read_watch(self, key: str) -> bool:
        try:
            has_come = self._watches[key].read() is not None
        except LinkLost:
            has_come = True  # perhaps
        except ResponseError as refused:
            self._rest(refused)
            raise Empty from None
        self._is_refused = False
        if has_come and not (self._channel.qos.can_consume() and key in dict(self._queue_keys())):
            # No slot is free any more, or the queue is not consumed any more: another idle consumer can have it.
            STEP_BACK(self._channel.custody.client, [front_of(key), key])
        if has_come or time.monotonic() - self._claimed_at >= WAIT_S:
            self._may_have_mail = True
        raise Empty

    def _rest(self, refused: ResponseError) -> None:
        """Ask no sooner than after one wait, and claim first: a server without memory moves no message, but gives them out."""
        self._rests_until, self._may_have_mail = time.monotonic() + WAIT_S, True
        if not self._is_refused:
            logger.warning(
                "Redis refuses to give out mail (%s): asking again every %d s", type(refused).__name__, WAIT_S
            )
        self._is_refused = True

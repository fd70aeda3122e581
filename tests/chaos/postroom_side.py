"""Postroom as an application and an operator see it."""

from __future__ import annotations

from pathlib import Path

from postroom import BasicEmailSessionDetails, EmailMessage
from postroom.errors import BrokerUnavailable
from postroom_broker.transport.names import front_of
from postroom_contract.names import QUEUES
from tests.chaos.judge import Told
from tests.chaos.mails import DOMAIN, Mail
from tests.chaos.side import Capacity, NotHandedOver
from tests.support.celery_worker import CeleryWorker
from tests.support.post import Post, PostroomWorker
from tests.support.valkey import connect


class PostroomSide:
    """Keys, a mailer, and workers."""

    name = "postroom"

    def __init__(self, post: Post, smtp_port: int, capacity: Capacity) -> None:
        self._post = post
        self._capacity = capacity
        self._mailer = post.mailer()
        self._session: BasicEmailSessionDetails = post.session(
            smtp_port, use_ssl=False, password=None, host="127.0.0.1"
        )
        self._redis = connect(post.redis_url)

    def worker(self, name: str, folder: Path) -> CeleryWorker:
        variables = {
            "POSTROOM_EHLO_NAME": f"{name}.{DOMAIN}",
            "POSTROOM_CONCURRENCY": str(self._capacity.concurrency),
            "POSTROOM_MOST_CONNECTIONS": str(self._capacity.connections),
        }
        return PostroomWorker(folder / f"{name}.log", self._post.environment | variables, ("--name", f"{name}@%h"))

    def post(self, mail: Mail) -> str:
        message = EmailMessage(
            to=mail.recipients, from_=mail.sender, subject=f"Mail {mail.number}", body=mail.body, priority=mail.priority
        )
        try:
            return self._mailer.send(message, self._session).id
        except BrokerUnavailable as away:
            raise NotHandedOver(away.receipt_id if away.maybe_enqueued else None) from away

    def told(self, delivery_id: str) -> Told | None:
        try:
            outcome = self._mailer.receipt(delivery_id).outcome(timeout=0)
        except TimeoutError:
            return None
        return Told(
            state=outcome.state.value,
            accepted=tuple(outcome.accepted),
            refused=tuple(outcome.refused),
            attempts=outcome.attempts,
            is_flagged=outcome.possible_duplicate,
            code=outcome.code,
        )

    def waiting(self) -> int:
        # In one transaction: a message moves from one of these places to the next.
        asking = self._redis.pipeline(transaction=True)
        for queue in QUEUES:
            asking.llen(queue)
            asking.llen(front_of(queue))
        asking.hlen("unacked")
        asking.zcard("postroom.delayed")
        return sum(asking.execute())

    def held(self) -> int:
        return int(self._redis.hlen("unacked"))

    def dead(self) -> int:
        return int(self._redis.llen("postroom.dead"))

    def close(self) -> None:
        self._mailer.close()
        self._redis.close()

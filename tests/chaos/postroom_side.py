"""Postroom as an application and an operator see it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from postroom import BasicEmailSessionDetails, EmailMessage
from postroom.errors import BrokerUnavailable
from postroom.webhooks import verify
from postroom_broker.transport.names import front_of
from postroom_contract.names import ALL_QUEUES
from postroom_contract.webhook_signature import generate_secret
from tests.chaos.judge import Told
from tests.chaos.mails import DOMAIN, Mail
from tests.chaos.news import Word
from tests.chaos.side import Capacity, NotHandedOver
from tests.support.celery_worker import CeleryWorker
from tests.support.post import Post, PostroomWorker
from tests.support.receiver import Receiver
from tests.support.valkey import connect

# One call in so many is answered as by a host that is just being deployed.
BUSY_EVERY = 50
# Signatures are looked at when all is over.
LONGEST_RUN_S = 3600


class PostroomSide:
    """Keys, a mailer, workers, and a host that some mails have told of their ends."""

    name = "postroom"

    def __init__(self, post: Post, smtp_port: int, capacity: Capacity) -> None:
        self._post = post
        self._capacity = capacity
        self._mailer = post.mailer()
        self._session: BasicEmailSessionDetails = post.session(
            smtp_port, use_ssl=False, password=None, host="127.0.0.1"
        )
        self._redis = connect(post.redis_url)
        self._secret = generate_secret()
        self._stack = ExitStack()
        self._host = self._stack.enter_context(Receiver(lambda number: 503 if number % BUSY_EVERY == 0 else 204))

    def worker(self, name: str, folder: Path) -> CeleryWorker:
        variables = {
            "POSTROOM_EHLO_NAME": f"{name}.{DOMAIN}",
            "POSTROOM_CONCURRENCY": str(self._capacity.concurrency),
            "POSTROOM_MOST_CONNECTIONS": str(self._capacity.connections),
            "POSTROOM_WEBHOOK_SECRETS": self._secret,
        }
        return PostroomWorker(folder / f"{name}.log", self._post.environment | variables, ("--name", f"{name}@%h"))

    def post(self, mail: Mail) -> str:
        message = EmailMessage(
            to=mail.recipients, from_=mail.sender, subject=f"Mail {mail.number}", body=mail.body, priority=mail.priority
        )
        on_outcome = self._host.url if mail.wants_news else None
        try:
            return self._mailer.send(message, self._session, on_outcome=on_outcome).id
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

    def words(self) -> Sequence[Word]:
        heard = [verify(call.headers, call.body, self._secret, tolerance_s=LONGEST_RUN_S) for call in self._host.taken]
        return [Word(news.id, news.state.value, news.code) for news in heard]

    def waiting(self) -> int:
        # In one transaction: a message moves from one of these places to the next.
        asking = self._redis.pipeline(transaction=True)
        for queue in ALL_QUEUES:
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
        self._stack.close()
        self._mailer.close()
        self._redis.close()

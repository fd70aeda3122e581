"""How long it takes until a server has N messages: Postroom beside a plain Celery task with smtplib, in one run.

Both use the same Redis, the same SMTP server with TLS and a login, the same number of sends at once and the same link,
whose round trip is `--rtt-ms`. Rounds are interleaved, and the medians are printed with their ratio.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from postroom.testing import CertificateKit, SmtpServer  # noqa: E402 -- after the path is set
from tests.support.celery_worker import CeleryWorker  # noqa: E402
from tests.support.post import PASSWORD, USERNAME, Post, a_message  # noqa: E402
from tests.support.valkey import ValkeyServer, find_server  # noqa: E402

# At once, in either worker: what a server allows one account is set to as many.
CONCURRENCY = 20
# Nothing arrives for so long: what is missing then is lost, and said to be.
QUIET_S = 30.0


class Round(NamedTuple):
    """How many messages arrived, and how long after the first was handed over the last was accepted."""

    arrived: int
    seconds: float


class SlowLink(threading.Thread):
    """A TCP proxy on loopback that keeps every octet, and the first one of a connection, half a round trip or one."""

    def __init__(self, target: int, rtt_s: float) -> None:
        super().__init__(daemon=True)
        self.target, self.rtt_s, self.port = target, rtt_s, 0
        self._ready = threading.Event()

    def start(self) -> None:
        """Listen, and return when `port` is known."""
        super().start()
        self._ready.wait()

    def run(self) -> None:
        """Carry octets until the process ends."""
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0, backlog=1000)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await server.serve_forever()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.rtt_s)  # TCP's own handshake
        there, back = await asyncio.open_connection("127.0.0.1", self.target)
        await asyncio.gather(self._one_way(reader, back), self._one_way(there, writer), return_exceptions=True)

    async def _one_way(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while data := await source.read(65536):
            loop.call_later(self.rtt_s / 2, sink.write, data)
        loop.call_later(self.rtt_s / 2, sink.close)


def main() -> None:
    """Run the rounds and print the medians."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--messages", type=int, default=400)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--rtt-ms", type=float, default=20)
    asked = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        certificates = CertificateKit(folder)
        program = find_server()
        assert program is not None, "no Valkey or Redis server here"
        redis = stack.enter_context(ValkeyServer(program, folder))
        users = {USERNAME: PASSWORD}
        server = stack.enter_context(
            SmtpServer(tls="implicit", ssl_context=certificates.server_context(), users=users, require_auth=True)
        )
        link = SlowLink(server.port, asked.rtt_ms / 1000)
        link.start()
        post = Post(redis.url, folder, certificates.ca_file, {"POSTROOM_MOST_CONNECTIONS": str(CONCURRENCY)})
        rounds: dict[str, list[Round]] = {"postroom": [], "celery and smtplib": []}
        for _ in range(asked.rounds):
            rounds["postroom"].append(postroom(post, server, link.port, asked.messages))
            rounds["celery and smtplib"].append(plain_celery(post, server, link.port, asked.messages))
    print(f"{asked.messages} messages, {CONCURRENCY} at once, round trip {asked.rtt_ms:g} ms, {asked.rounds} rounds")
    rates = {name: statistics.median(one.arrived / one.seconds for one in many) for name, many in rounds.items()}
    for name, rate in rates.items():
        lost = asked.rounds * asked.messages - sum(one.arrived for one in rounds[name])
        print(f"{name:<20} {rate:9.0f} messages/s" + (f", {lost} never arrived" if lost else ""))
    print(f"{'ratio':<20} {rates['postroom'] / rates['celery and smtplib']:9.1f}")


def postroom(post: Post, server: SmtpServer, port: int, messages: int) -> Round:
    """One round of ours."""
    with post.worker("-c", str(CONCURRENCY)), post.mailer() as mailer:
        session = post.session(port)
        return timed(server, messages, lambda number: mailer.send(a_message(number), session))


def plain_celery(post: Post, server: SmtpServer, port: int, messages: int) -> Round:
    """The same for a task that does it all by itself."""
    os.environ["BENCH_REDIS"] = post.redis_url
    import plain_celery as plain  # noqa: PLC0415 -- it needs the address of a Redis that is up

    environment = {"SSL_CERT_FILE": str(post.ca_file), "PYTHONPATH": str(Path(__file__).parent)}
    options = ("--pool", "threads", "--concurrency", str(CONCURRENCY))
    with CeleryWorker("plain_celery", post.folder / "plain.log", environment, options):
        return timed(server, messages, lambda number: plain.send.delay(port, USERNAME, PASSWORD, number))


def timed(server: SmtpServer, messages: int, hand_over: Callable[[int], object]) -> Round:
    """Hand the messages over and wait until the server has accepted them all, or nothing comes any more."""
    already = len(server.messages)
    started = time.monotonic()
    for number in range(messages):
        hand_over(number)
    arrived = 0
    with suppress(TimeoutError):
        while arrived < messages:
            arrived = len(server.wait_for_messages(already + arrived + 1, timeout_s=QUIET_S)) - already
    return Round(arrived, server.messages[-1].accepted_at - started)


if __name__ == "__main__":
    main()

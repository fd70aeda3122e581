"""The SMTP server of a run: a process of its own that survives every fault, makes those of SMTP, and keeps the journal.

`postroom.testing.SmtpServer` counts every occurrence for every rule and cannot tell a transaction that broke after its
last byte from one that broke before it; this one knows nothing else. Started by `postoffice`:
`python -m tests.chaos.recorder JOURNAL --seed N`; it prints its port, and ends at SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TextIO

from postroom.testing.smtp_link import LinkGone, SmtpLink
from tests.chaos.journal import Transaction
from tests.chaos.mails import NOBODY, number_of
from tests.chaos.smtp_faults import Fault, Moment, hold_s, of_connection, of_transaction

LONGEST_LINE = 2048
END_OF_DATA = b"\r\n.\r\n"
# All workers connect at once when they come up.
BACKLOG = 1024

EHLO_REPLY = ("250-chaos.example", "250-PIPELINING", "250-8BITMIME", "250-ENHANCEDSTATUSCODES", "250 SIZE 10485760")

_MESSAGE_ID = re.compile(rb"^message-id:\s*(<[^>\r\n]+>)", re.IGNORECASE | re.MULTILINE)
_ADDRESS = re.compile(r"<([^>]*)>")


class ConnectionOver(Exception):
    """The server has ended the connection."""


class Recorder:
    """Holds all conversations; calm, it makes no faults."""

    def __init__(self, journal: TextIO, seed: int, *, is_calm: bool = False) -> None:
        self.journal = journal
        self.seed = seed
        self.is_calm = is_calm
        self.sightings: Counter[int] = Counter()
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, stopping: asyncio.Event) -> None:
        """Listen on a free port, print it, and serve until told to stop."""
        loop = asyncio.get_running_loop()
        listener = await loop.create_server(lambda: SmtpLink(self._open), "127.0.0.1", 0, backlog=BACKLOG)
        print(listener.sockets[0].getsockname()[1], flush=True)  # noqa: T201 -- whoever started it waits for this
        await stopping.wait()
        listener.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _open(self, link: SmtpLink) -> None:
        self._connections += 1
        fault = None if self.is_calm else of_connection(self.seed, self._connections)
        conversation = Conversation(self, link, self._connections, fault)
        task = asyncio.get_running_loop().create_task(conversation.run())
        self._tasks.add(task)
        task.add_done_callback(self._close)

    def _close(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) is not None:
            asyncio.get_running_loop().call_exception_handler({"message": "a conversation failed", "exception": bug})


class Conversation:
    """One connection, from greeting to end."""

    def __init__(self, recorder: Recorder, link: SmtpLink, number: int, fault: Fault | None) -> None:
        self._recorder = recorder
        self._link = link
        self._number = number
        self._fault = fault
        self._worker = ""
        self._transaction: Transaction | None = None

    async def run(self) -> None:
        """Hold the conversation, and leave no transaction unwritten."""
        try:
            self._suffer(Moment.GREETING)
            self._say("220 chaos.example ESMTP")
            while True:
                line = (await self._link.read_line(LONGEST_LINE)).decode(errors="replace")
                await self._obey(line)
        except (LinkGone, ConnectionOver):
            pass
        finally:
            self._end_transaction()
            await self._link.close()

    async def _obey(self, line: str) -> None:
        verb = line.partition(" ")[0].upper()
        if verb in {"EHLO", "HELO"}:
            self._worker = line.partition(" ")[2].partition(".")[0]
            self._say(*EHLO_REPLY)
        elif verb == "MAIL":
            self._mail(line)
        elif verb == "RCPT":
            self._rcpt(line)
        elif verb == "DATA":
            await self._data()
        elif verb in {"RSET", "NOOP"}:
            if verb == "RSET":
                self._end_transaction()
            self._say("250 2.0.0 Ok")
        elif verb == "QUIT":
            self._say("221 2.0.0 Bye")
            raise ConnectionOver
        else:
            self._say("500 5.5.2 What?")

    def _mail(self, line: str) -> None:
        number = number_of(line)
        self._recorder.sightings[number] += 1
        sighting = self._recorder.sightings[number]
        self._transaction = Transaction(self._number, self._worker, number, sighting, time.monotonic())
        self._fault = None if self._recorder.is_calm else of_transaction(self._recorder.seed, number, sighting)
        if not self._suffer(Moment.MAIL):
            self._say("250 2.1.0 Ok")

    def _rcpt(self, line: str) -> None:
        found = _ADDRESS.search(line)
        if self._transaction is None or found is None:
            self._say("503 5.5.1 Not now")
        elif found[1].startswith(NOBODY):
            self._transaction.refused[found[1]] = 550
            self._say("550 5.1.1 Nobody of that name")
        elif self._suffer(Moment.RCPT):
            self._transaction.refused[found[1]] = 450
        else:
            self._transaction.admitted.append(found[1])
            self._say("250 2.1.5 Ok")

    async def _data(self) -> None:
        transaction = self._transaction
        if transaction is None or not transaction.admitted:
            self._say("554 5.5.1 No valid recipients")
            return
        if self._suffer(Moment.DATA):
            return
        self._say("354 Go ahead")
        transaction.body_at = time.monotonic()
        text = await self._take_text(transaction)
        found = _MESSAGE_ID.search(text)
        transaction.message_id = found[1].decode() if found else ""
        await self._hold(hold_s(self._recorder.seed, transaction.mail, transaction.sighting))
        if not self._suffer(Moment.BEFORE_RECORD):
            transaction.accepted_at = time.monotonic()
            self._suffer(Moment.AFTER_RECORD)
            self._say("250 2.0.0 Accepted")
            transaction.code, transaction.replied_at = 250, time.monotonic()
        self._end_transaction()

    async def _take_text(self, transaction: Transaction) -> bytes:
        text, searched = bytearray(b"\r\n"), 0  # the CRLF of DATA itself: a dot may be all that comes
        while transaction.last_byte_at is None:
            text += await self._link.read()
            if text.find(END_OF_DATA, searched) >= 0:
                transaction.last_byte_at = time.monotonic()
            self._suffer(Moment.BODY)
            searched = max(0, len(text) - len(END_OF_DATA) + 1)
        return bytes(text)

    async def _hold(self, seconds: float) -> None:
        """Keep the client waiting, and notice when it goes."""
        try:
            async with asyncio.timeout(seconds):
                await self._link.wait_until_gone()
        except TimeoutError:
            return
        raise LinkGone

    def _suffer(self, at: Moment) -> bool:
        """Do what the faults say for this moment, and tell whether they answered in the server's place."""
        fault = self._fault
        if fault is None or fault.at is not at:
            return False
        self._fault = None
        if fault.reply:
            self._say(fault.reply)
            if self._transaction is not None and at is not Moment.RCPT:
                self._transaction.code = int(fault.reply[:3])
                if at is Moment.BEFORE_RECORD:
                    self._transaction.replied_at = time.monotonic()
        else:
            self._drop(is_abrupt=fault.is_abrupt)
        if fault.ends_connection:
            raise ConnectionOver
        return True

    def _drop(self, *, is_abrupt: bool) -> None:
        if self._transaction is not None:
            self._transaction.is_dropped = True
        if is_abrupt:
            self._link.reset()
        else:
            self._link.drop()

    def _say(self, *lines: str) -> None:
        self._link.write("".join(f"{line}\r\n" for line in lines).encode())

    def _end_transaction(self) -> None:
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            transaction.ended_at = time.monotonic()
            self._recorder.journal.write(transaction.line() + "\n")
            self._recorder.journal.flush()


async def _run(path: Path, seed: int, *, is_calm: bool) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    # Ctrl-C reaches every process of a terminal; this one is still needed.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with path.open("a") as journal:
        await Recorder(journal, seed, is_calm=is_calm).serve(stopping)


def main() -> None:
    """Serve."""
    options = argparse.ArgumentParser()
    options.add_argument("journal", type=Path)
    options.add_argument("--seed", type=int, required=True)
    options.add_argument("--calm", action="store_true")
    asked = options.parse_args()
    asyncio.run(_run(asked.journal, asked.seed, is_calm=asked.calm))


if __name__ == "__main__":
    main()

"""A tap on an SMTP conversation in the clear: forwards it, and notes what the client said before it was answered.

What a client sends without waiting for a reply stands in one turn; that is how pipelining shows on the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK_BYTES = 65536


class SmtpTap:
    """The record of one tap; `port` is where clients connect."""

    def __init__(self) -> None:
        self.port = 0
        self.turns: list[bytes] = []
        self._has_answered = True

    @property
    def verbs(self) -> list[list[str]]:
        """The first words of each turn's lines, in small letters."""
        return [[line.partition(" ")[0].lower() for line in turn.decode().splitlines()] for turn in self.turns]

    def client_said(self, data: bytes) -> None:
        """Note what came from the client."""
        if self._has_answered:
            self.turns.append(b"")
            self._has_answered = False
        self.turns[-1] += data

    def server_said(self, data: bytes) -> None:
        """Note that an answer came."""
        self._has_answered = True


@asynccontextmanager
async def tap(server_port: int) -> AsyncIterator[SmtpTap]:
    """Listen on a free port and forward to a server on loopback."""
    record = SmtpTap()
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", server_port)

        async def forward_answers() -> None:
            while data := await server_reader.read(CHUNK_BYTES):
                record.server_said(data)
                writer.write(data)
            writer.close()

        answers = asyncio.ensure_future(forward_answers())
        while data := await reader.read(CHUNK_BYTES):
            record.client_said(data)
            server_writer.write(data)
        server_writer.close()
        await answers
        await asyncio.gather(writer.wait_closed(), server_writer.wait_closed())

    listener = await asyncio.start_server(converse, "127.0.0.1", 0)
    record.port = listener.sockets[0].getsockname()[1]
    async with listener:
        yield record
        await asyncio.gather(*conversations)

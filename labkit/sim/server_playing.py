"""Play a reply to an HTTP client: each byte when it is due, and the ending that it says.

A client that leaves ends the play at once, whatever it was waiting for, so nothing of it stays
behind.  A server that falls behind sends what is overdue in one piece.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from starlette.types import Receive, Send

from labkit.sim.breakage import is_stream
from labkit.sim.reply import Reply

__all__ = ["Connection", "Player"]

PIECE = 64 * 1024
"""Bytes of one piece, about: a slow reader shall not make us hold a whole answer twice."""

LENGTH = "content-length"


class Connection(Protocol):
    """What ASGI has no word for: see `labkit.sim.server_protocol`."""

    def hang_up(self) -> None:
        """Break the connection."""


class Player:
    """Plays one reply on a connection; it is made when the request has arrived.

    `speed` is how many times faster than real time it plays (0: nothing waits).
    """

    __slots__ = ("_began", "_connection", "_gone", "_loop", "_receive", "_send", "_speed")

    def __init__(self, receive: Receive, send: Send, connection: Connection, speed: float) -> None:
        self._receive, self._send = receive, send
        self._connection, self._speed = connection, speed
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._gone: asyncio.Future[None] | None = None

    async def play(self, reply: Reply) -> bool:
        """Play it; return whether the client was there to the end."""
        if len(reply.chunks) == 1 and reply.ending == "complete":
            (at, body) = reply.chunks[0]
            if self._wait_for(at) <= 0 and reply.ended_s <= at:
                await self._begin(reply)
                await self._send({"type": "http.response.body", "body": body})
                return True
        try:
            return await self._play(reply)
        finally:
            if self._gone is not None:
                self._gone.cancel()

    async def _play(self, reply: Reply) -> bool:
        chunks, place = reply.chunks, 0
        while place < len(chunks):
            if not await self._wait_until(chunks[place][0]):
                return False
            if place == 0:
                await self._begin(reply)
            data, place = self._due(chunks, place)
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        if reply.ending == "silence":
            return not await self._client_leaves()
        if not await self._wait_until(reply.ended_s):
            return False
        if reply.ending != "complete":
            self._connection.hang_up()
            await self._client_leaves()
            return True
        if not chunks:
            await self._begin(reply)
        await self._send({"type": "http.response.body", "body": b""})
        return True

    def _due(self, chunks: tuple[tuple[float, bytes], ...], place: int) -> tuple[bytes, int]:
        """Return what is due from `place` on, one chunk at least, and the place after it."""
        parts, size = [chunks[place][1]], len(chunks[place][1])
        place += 1
        while place < len(chunks) and size < PIECE and self._wait_for(chunks[place][0]) <= 0:
            parts.append(chunks[place][1])
            size += len(chunks[place][1])
            place += 1
        return b"".join(parts), place

    async def _begin(self, reply: Reply) -> None:
        headers = dict(reply.headers)
        if reply.ending == "complete" and LENGTH not in headers and not is_stream(reply):
            headers[LENGTH] = str(sum(len(data) for _, data in reply.chunks))
        pairs = [(name.encode(), text.encode("latin-1")) for name, text in headers.items()]
        await self._send({"type": "http.response.start", "status": reply.status, "headers": pairs})

    def _wait_for(self, at: float) -> float:
        """Return the real seconds until the reply's second `at`."""
        if not self._speed:
            return 0.0
        return self._began + at / self._speed - self._loop.time()

    async def _wait_until(self, at: float) -> bool:
        """Wait for the reply's second `at`; return whether the client is still there."""
        seconds = self._wait_for(at)
        return seconds <= 0 or not await self._client_leaves(seconds)

    async def _client_leaves(self, within: float | None = None) -> bool:
        """Wait for the client to leave, so many seconds at most; return whether it has left."""
        if self._gone is None:
            self._gone = asyncio.ensure_future(_departure(self._receive))
        await asyncio.wait([self._gone], timeout=within)
        return self._gone.done()


async def _departure(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass

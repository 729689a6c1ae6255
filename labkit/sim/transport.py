"""Play replies to the SDK on a clock: the in-process door of the simulated API.

A `Source` says what the server does with a request; the transports make it happen to an
`httpx2` client: they wait on the clock, hand out the bytes when they are due, obey the
client's timeouts, and break off where the reply says so.  No socket is involved.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import suppress
from math import inf
from typing import Any, Protocol

import httpx2

from labkit.clock import Clock
from labkit.errors import DeadlineExceeded, Deadlock
from labkit.sim.core import SimulatedApi
from labkit.sim.reply import Reply

__all__ = ["AsyncReplyTransport", "ReplyTransport", "Simulated", "Source"]


class Source(Protocol):
    """Whatever decides on a reply: the simulated API, or a cassette."""

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:
        """Return the reply to a request that arrives at `now`; the request has been read."""
        ...


class Simulated:
    """The simulated API as a source."""

    def __init__(self, api: SimulatedApi) -> None:
        self.api = api

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:
        """Ask the simulated API."""
        return self.api.reply(
            request.method,
            request.url.raw_path.decode("ascii"),
            request.headers,
            request.content,
            now,
        )


class _OutOfPatience(Exception):
    """The client's read timeout is shorter than the server's silence."""

    def __init__(self, waited: float) -> None:
        self.waited = waited


class _Playback:
    """One reply being played: how long to wait, what to hand out, and what to raise."""

    def __init__(self, request: httpx2.Request, reply: Reply) -> None:
        timeouts: dict[str, Any] = request.extensions.get("timeout", {})
        self.patience: float | None = timeouts.get("read")
        self.request, self.reply = request, reply

    def steps(self) -> Iterator[tuple[float, bytes | None]]:
        """Yield (seconds to wait, bytes or None for no news); end or raise as the reply does."""
        reached = 0.0
        for at, data in self.reply.chunks:
            self._check(at - reached)
            yield at - reached, data
            reached = at
        if self.reply.ending == "silence":
            self._check(inf)
        if self.reply.ended_s > reached:
            self._check(self.reply.ended_s - reached)
            yield self.reply.ended_s - reached, None
        if self.reply.ending == "refused":
            raise httpx2.ConnectError("Connection refused", request=self.request)
        if self.reply.ending == "reset":
            message = "peer closed connection without sending complete message body"
            raise httpx2.RemoteProtocolError(message, request=self.request)
        if not self.reply.chunks:
            yield 0.0, b""

    def _check(self, silence: float) -> None:
        if self.patience is not None and silence > self.patience:
            raise _OutOfPatience(self.patience)
        if silence == inf:
            raise Deadlock("The server never answers, and this client has no read timeout.")

    def timed_out(self) -> httpx2.ReadTimeout:
        return httpx2.ReadTimeout("The read operation timed out", request=self.request)


class _Body(httpx2.SyncByteStream):
    def __init__(self, first: bytes, rest: Generator[bytes, None, None]) -> None:
        self._first, self._rest = first, rest

    def __iter__(self) -> Iterator[bytes]:
        yield self._first
        yield from self._rest

    def close(self) -> None:
        self._rest.close()


class _AsyncBody(httpx2.AsyncByteStream):
    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self._first, self._rest = first, rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        async for chunk in self._rest:
            yield chunk

    async def aclose(self) -> None:
        await self._rest.aclose()


class ReplyTransport(httpx2.BaseTransport):
    """The transport for `Anthropic`."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self.source, self.clock = source, clock

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request as soon as its first byte is due."""
        request.read()
        reply = self.source.reply_to(request, self.clock.now())
        chunks = self._play(_Playback(request, reply))
        body = _Body(next(chunks), chunks)
        return httpx2.Response(reply.status, headers=dict(reply.headers), stream=body)

    def _play(self, playback: _Playback) -> Generator[bytes, None, None]:
        try:
            for wait, data in playback.steps():
                self.clock.sleep(wait)
                if data is not None:
                    yield data
        except _OutOfPatience as error:
            with suppress(DeadlineExceeded):
                self.clock.sleep(error.waited)
            raise playback.timed_out() from None
        except DeadlineExceeded:  # an alarm rang, as it would in a thread that reads a socket
            raise playback.timed_out() from None


class AsyncReplyTransport(httpx2.AsyncBaseTransport):
    """The transport for `AsyncAnthropic`."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self.source, self.clock = source, clock

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request as soon as its first byte is due."""
        await request.aread()
        reply = self.source.reply_to(request, self.clock.now())
        chunks = self._play(_Playback(request, reply))
        body = _AsyncBody(await anext(chunks), chunks)
        return httpx2.Response(reply.status, headers=dict(reply.headers), stream=body)

    async def _play(self, playback: _Playback) -> AsyncGenerator[bytes, None]:
        try:
            for wait, data in playback.steps():
                if wait:
                    await self.clock.sleep_async(wait)
                if data is not None:
                    yield data
        except _OutOfPatience as error:
            await self.clock.sleep_async(error.waited)
            raise playback.timed_out() from None

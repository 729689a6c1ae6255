"""Look at the start of a streamed answer without losing a byte of it.

An overload may arrive as an `error` event inside a 200, and a connection may be cut before
the first word.  Until the first content event nothing has been shown to anyone, so such a
stream is a failed attempt like any other.  We read up to that point, judge, and put back
what was read: whoever consumes the stream later sees every byte in order.

A stream that stops without a stop reason looks finished to the SDK.  Here it ends as a cut
connection does, with `httpx2.RemoteProtocolError`, after its last byte.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import suppress
from math import inf
from typing import Any

import anthropic
import httpx2

from labkit.limits import Limits
from labkit.metering import StreamMeter
from labkit.reading import Vigil, in_time
from labkit.verdict import OPAQUE, Verdict, Watch

__all__ = ["limit", "peek", "peek_async", "verdict_of"]

BROKEN = (httpx2.TransportError, anthropic.APIConnectionError)
"""What the server's end of a stream does to its reader: cut, or silent for too long."""


class _Peeked:
    """What both kinds of stream know: the bytes read ahead, the rest, and what they show."""

    def __init__(self, response: httpx2.Response) -> None:
        self.source: Any = response.stream
        readable = _can_be_read(response)
        self.watch = Watch(response.headers.get("content-encoding", "") if readable else OPAQUE)
        self.meter = StreamMeter(self.watch)
        self.start = b""
        self.vigils: list[Vigil] = []

    @property
    def verdict(self) -> Verdict | None:
        return self.watch.verdict

    @property
    def elapsed(self) -> Any:
        """What `httpx2.Response.elapsed` reads off the stream."""
        return getattr(self.source, "elapsed", None)

    def sees(self, chunk: bytes) -> Verdict | None:
        self.start += chunk
        return self.watch.feed(chunk)

    def passes(self, chunk: bytes) -> None:
        self.watch.feed(chunk)
        self.meter.look()

    def check_end(self) -> None:
        self.watch.end()
        if not self.watch.complete:
            self.watch.ending.broke = True
            raise httpx2.RemoteProtocolError("the stream ended without a stop reason")


class _Resumed(_Peeked, httpx2.SyncByteStream):
    """The start of a stream that was looked at, then the rest of it."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(response)
        self.rest: Iterator[bytes] = iter(self.source)

    def __iter__(self) -> Iterator[bytes]:
        if self.start:
            yield self.start
        try:
            for chunk in self.rest:
                self.passes(chunk)
                yield chunk
        except BROKEN:
            self.watch.ending.broke = True
            raise
        self.check_end()

    def close(self) -> None:
        for vigil in self.vigils:  # first, as the connection may be somebody else's next
            vigil.end()
        self.source.close()


class _ResumedAsync(_Peeked, httpx2.AsyncByteStream):
    """The same for an async stream."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(response)
        self.rest: AsyncIterator[bytes] = aiter(self.source)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.start:
            yield self.start
        try:
            async for chunk in self.rest:
                self.passes(chunk)
                yield chunk
        except BROKEN:
            self.watch.ending.broke = True
            raise
        self.check_end()

    async def aclose(self) -> None:
        if isinstance(self.rest, AsyncGenerator):
            with suppress(RuntimeError):  # another task is reading it and will end it
                await self.rest.aclose()
        await self.source.aclose()


def limit(response: httpx2.Response, limits: Limits) -> None:
    """Keep to a layer's limits while somebody reads the response; nothing if it has been read.

    The reader gets `DeadlineExceeded` or `anthropic.APITimeoutError` where they break, and the
    connection is closed.  A stream whose last event has come ends there instead.
    """
    if response.is_closed or response.is_stream_consumed or limits.silent_until() == inf:
        return
    stream = response.stream
    if isinstance(stream, httpx2.SyncByteStream):
        if not isinstance(stream, _Resumed):
            response.stream = stream = _Resumed(response)
        vigil = Vigil(response, stream.watch, limits)
        stream.vigils.append(vigil)
        stream.rest = vigil.chunks(stream.rest)
    else:
        if not isinstance(stream, _ResumedAsync):
            response.stream = stream = _ResumedAsync(response)
        stream.rest = in_time(stream.rest, response, stream.watch, limits)


def verdict_of(response: httpx2.Response) -> Verdict | None:
    """Return the verdict of an earlier peek at this response, None if nobody peeked."""
    return getattr(response.stream, "verdict", None)


def _can_be_read(response: httpx2.Response) -> bool:
    return response.headers.get("content-type", "").startswith("text/event-stream")


def peek(response: httpx2.Response, check_time: Callable[[], object]) -> Verdict:
    """Read a streamed response up to its first content event or error, and put it back.

    `check_time` is called after every chunk and may raise, because a server that does nothing
    but ping would hold us for ever.  Raises what it raises, or what the connection raises when
    it breaks before that point (`httpx2.ReadTimeout`, `httpx2.RemoteProtocolError`, ...); the
    response is closed then.  The connection of a stream that failed is given back at once.
    """
    if not isinstance(response.stream, httpx2.SyncByteStream) or not _can_be_read(response):
        return Verdict()
    response.stream = stream = _Resumed(response)
    try:
        for chunk in stream.rest:
            if stream.sees(chunk):
                break
            check_time()
    except BaseException as error:
        response.close()
        _name_request(error, response)
        raise
    verdict = stream.watch.end()
    if verdict.failed:
        stream.close()
        stream.rest = iter(())
    return verdict


async def peek_async(response: httpx2.Response, check_time: Callable[[], object]) -> Verdict:
    """Do what `peek` does for the async client."""
    if not isinstance(response.stream, httpx2.AsyncByteStream) or not _can_be_read(response):
        return Verdict()
    response.stream = stream = _ResumedAsync(response)
    try:
        async for chunk in stream.rest:
            if stream.sees(chunk):
                break
            check_time()
    except BaseException as error:
        await response.aclose()
        _name_request(error, response)
        raise
    verdict = stream.watch.end()
    if verdict.failed:
        await stream.aclose()
    return verdict


def _name_request(error: BaseException, response: httpx2.Response) -> None:
    """Do what httpx2 does where it reads a body itself: a transport's error names no request."""
    if isinstance(error, httpx2.RequestError):
        error.request = response.request

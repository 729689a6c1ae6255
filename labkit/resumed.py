"""A stream that was looked at: what was read ahead comes first, then the rest.

A stream that stops without a stop reason looks finished to the SDK.  Here it ends as a cut
connection does, with `httpx2.RemoteProtocolError`, after its last byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import anthropic
import httpx2

from labkit.metering import StreamMeter
from labkit.reading import Vigil
from labkit.verdict import OPAQUE, Verdict, Watch

__all__ = ["Resumed", "ResumedAsync", "can_be_read"]

BROKEN = (httpx2.TransportError, anthropic.APIConnectionError)
"""What the server's end of a stream does to its reader: cut, or silent for too long."""


def can_be_read(response: httpx2.Response) -> bool:
    """Say whether the body is a stream of events."""
    return response.headers.get("content-type", "").startswith("text/event-stream")


class _Peeked:
    """What both kinds of stream know: the bytes read ahead, the rest, and what they show."""

    def __init__(self, response: httpx2.Response) -> None:
        self.source: Any = response.stream
        readable = can_be_read(response)
        self.watch = Watch(response.headers.get("content-encoding", "") if readable else OPAQUE)
        self.meter = StreamMeter(self.watch)
        self.start = b""
        self.vigils: list[Vigil] = []
        self._parts: list[bytes] = []
        self._collectors: list[Callable[[bytes | None], object]] = []

    @property
    def verdict(self) -> Verdict | None:
        return self.watch.verdict

    @property
    def elapsed(self) -> Any:
        """What `httpx2.Response.elapsed` reads off the stream."""
        return getattr(self.source, "elapsed", None)

    def collect(self, then: Callable[[bytes | None], object]) -> None:
        """Have `then` told the body when the stream is closed, None if it was not read whole.

        It is told in the reader's thread, or in one of its own where the reader is a task.
        """
        self._collectors.append(then)

    def _collected(self) -> Callable[[], object] | None:
        """Return what is to be done at the close, once."""
        told, self._collectors = self._collectors, []
        whole = b"".join([self.start, *self._parts]) if self.watch.complete else None
        return (lambda: [then(whole) for then in told]) if told else None

    def sees(self, chunk: bytes) -> Verdict | None:
        self.start += chunk
        return self.watch.feed(chunk)

    def passes(self, chunk: bytes) -> None:
        if self._collectors:
            self._parts.append(chunk)
        self.watch.feed(chunk)
        self.meter.look()

    def check_end(self) -> None:
        self.watch.end()
        if not self.watch.complete:
            self.watch.ending.broke = True
            raise httpx2.RemoteProtocolError("the stream ended without a stop reason")


class Resumed(_Peeked, httpx2.SyncByteStream):
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
        """Give the connection back; no limit touches it any more."""
        for vigil in self.vigils:  # first, as the connection may be somebody else's next
            vigil.end()
        self.source.close()
        if (work := self._collected()) is not None:
            work()


class ResumedAsync(_Peeked, httpx2.AsyncByteStream):
    """The same for an async stream."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(response)
        self.rest: AsyncIterator[bytes] = aiter(self.source)
        self._wire = self.rest

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
        """Give the connection back."""
        for chunks in (self.rest, self._wire):  # one that was never begun does not end the other
            if isinstance(chunks, AsyncGenerator):
                with suppress(RuntimeError):  # another task is reading it and will end it
                    await chunks.aclose()
        await self.source.aclose()
        if (work := self._collected()) is not None:
            await asyncio.to_thread(work)

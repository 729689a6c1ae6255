"""A tap on the wire: a transport around a transport that reports every attempt as it happened.

It changes nothing.  Whatever is inside (the simulated API, a cassette, the real network), it
notes when each chunk arrived and how the exchange ended, and hands the result to an observer:
the ledger, and while recording also the cassette.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace

import httpx2
from opentelemetry import trace

from labkit.clock import Clock
from labkit.sim.reply import Reply

__all__ = ["AsyncTap", "Observer", "Played", "Tap"]


@dataclass(frozen=True, slots=True)
class Played:
    """One attempt as the client lived through it; times are seconds on the tap's clock.

    `reply` is what arrived; `ending` is "complete", "timeout", "reset", "refused", or "closed"
    when the client stopped reading; `span` is the call's, by which attempts find their call.
    """

    request: httpx2.Request
    reply: Reply
    began: float
    ended: float
    ending: str
    span: trace.Span


Observer = Callable[[Played], None]
TAPED = {"timeout": "silence", "closed": "silence"}
"""What a client gave up on goes onto the tape as a server that says nothing more: nobody knows
what it would have said, and the same client gives up at the same moment again."""
LAST_EVENTS = (b"event: message_stop\n", b"event: error\n")


class _Watch:
    """The notes on one exchange."""

    def __init__(self, request: httpx2.Request, clock: Clock, observers: list[Observer]) -> None:
        self.request, self.clock, self.observers = request, clock, observers
        self.span = trace.get_current_span()
        self.began = clock.now()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.chunks: list[tuple[float, bytes]] = []
        self.reported = False

    def head(self, response: httpx2.Response) -> None:
        self.status, self.headers = response.status_code, dict(response.headers)

    def chunk(self, data: bytes) -> None:
        self.chunks.append((self.clock.now() - self.began, data))

    def failed(self, error: BaseException) -> None:
        """Report an attempt that got no response; a bench error means there was none."""
        if isinstance(error, httpx2.TransportError):
            self.end(error)
        elif not isinstance(error, Exception):  # cancelled, or interrupted from the keyboard
            self.end(closed=True)

    def end(self, error: httpx2.TransportError | None = None, *, closed: bool = False) -> None:
        """Report once, however often the stream is closed."""
        if self.reported:
            return
        self.reported = True
        now = self.clock.now()
        ending = "closed" if closed and not self._is_over() else _ending(error)
        reply = Reply(self.status, self.headers, tuple(self.chunks), TAPED.get(ending, ending))
        if reply.ending != "silence":
            reply = replace(reply, ended_s=now - self.began)
        played = Played(self.request, reply, self.began, now, ending, self.span)
        for observe in self.observers:
            observe(played)

    def _is_over(self) -> bool:
        """Whether the last event of a stream has come: nobody reads on after that."""
        last = b"".join(data for _, data in self.chunks).rstrip().rpartition(b"\n\n")[2]
        return last.startswith(LAST_EVENTS)


def _ending(error: httpx2.TransportError | None) -> str:
    if error is None:
        return "complete"
    if isinstance(error, httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.ConnectError):
        return "refused"
    return "timeout" if isinstance(error, httpx2.TimeoutException) else "reset"


class _Tapped(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream, watch: _Watch) -> None:
        self._inner, self._watch = inner, watch

    def __iter__(self) -> Iterator[bytes]:
        try:
            for data in self._inner:
                self._watch.chunk(data)
                yield data
            self._watch.end()
        except httpx2.TransportError as error:
            self._watch.end(error)
            raise

    def close(self) -> None:
        self._watch.end(closed=True)
        self._inner.close()


class _AsyncTapped(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream, watch: _Watch) -> None:
        self._inner, self._watch = inner, watch

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._inner:
                self._watch.chunk(data)
                yield data
            self._watch.end()
        except httpx2.TransportError as error:
            self._watch.end(error)
            raise

    async def aclose(self) -> None:
        self._watch.end(closed=True)
        await self._inner.aclose()


class Tap(httpx2.BaseTransport):
    """The tap for `Anthropic`; `observers` are told of every attempt once it has ended."""

    def __init__(
        self, inner: httpx2.BaseTransport, clock: Clock, observers: list[Observer]
    ) -> None:
        self.inner, self.clock, self.observers = inner, clock, observers

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass the request on and watch what comes back."""
        request.read()
        watch = _Watch(request, self.clock, self.observers)
        try:
            response = self.inner.handle_request(request)
        except BaseException as error:
            watch.failed(error)
            raise
        watch.head(response)
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Tapped(response.stream, watch)
        return response

    def close(self) -> None:
        """Close the transport inside."""
        self.inner.close()


class AsyncTap(httpx2.AsyncBaseTransport):
    """The tap for `AsyncAnthropic`."""

    def __init__(
        self, inner: httpx2.AsyncBaseTransport, clock: Clock, observers: list[Observer]
    ) -> None:
        self.inner, self.clock, self.observers = inner, clock, observers

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass the request on and watch what comes back."""
        await request.aread()
        watch = _Watch(request, self.clock, self.observers)
        try:
            response = await self.inner.handle_async_request(request)
        except BaseException as error:
            watch.failed(error)
            raise
        watch.head(response)
        if isinstance(response.stream, httpx2.AsyncByteStream):
            response.stream = _AsyncTapped(response.stream, watch)
        return response

    async def aclose(self) -> None:
        """Close the transport inside."""
        await self.inner.aclose()

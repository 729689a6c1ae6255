"""Peeking at a stream changes nothing for whoever reads it afterwards."""

from __future__ import annotations

import asyncio
import datetime
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import DeadlineExceeded
from labkit.streams import peek, peek_async, verdict_of
from labkit.verdict import Verdict
from tests.wire import (
    BLOCK,
    BLOCK_END,
    DELTA,
    EVENTS,
    OVERLOAD,
    PING,
    START,
    STOP,
    WORD,
    cut,
    packed,
)

WHOLE = b"".join(EVENTS)
REQUEST = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")
SSE = {"content-type": "text/event-stream; charset=utf-8"}
GOOD, OVERLOADED = Verdict(), Verdict(error_type="overloaded_error")


places = st.lists(st.integers(0, 5000), max_size=12)


class Wire(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """Hands out chunks, then ends or raises; counts what was read and how often it was closed."""

    def __init__(self, chunks: list[bytes], end: BaseException | None = None) -> None:
        self.chunks, self.end = chunks, end
        self.read = self.closed = 0
        self.elapsed = datetime.timedelta(seconds=7)

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.read += 1
            yield chunk
        if self.end is not None:
            raise self.end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk

    def close(self) -> None:
        """Count."""
        self.closed += 1

    async def aclose(self) -> None:
        """Count."""
        self.closed += 1


class Reader:
    """Peeks and reads, with either kind of client."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def peek(self, response: httpx2.Response, check: Any = int) -> Verdict:
        """Peek."""
        if self.kind == "sync":
            return peek(response, check)
        return asyncio.run(peek_async(response, check))

    def read(self, response: httpx2.Response, *, peeking: bool = True) -> bytes:
        """Peek, if so wished, and read the raw bytes in order."""
        if self.kind == "sync":
            if peeking:
                peek(response, int)
            return b"".join(response.iter_raw())

        async def main() -> bytes:
            if peeking:
                await peek_async(response, int)
            return b"".join([chunk async for chunk in response.aiter_raw()])

        return asyncio.run(main())


@pytest.fixture(params=["sync", "async"])
def reader(request: pytest.FixtureRequest) -> Reader:
    """Give both kinds."""
    return Reader(request.param)


def answered(wire: Wire, **headers: str) -> httpx2.Response:
    """Build a streamed response."""
    return httpx2.Response(200, headers={**SSE, **headers}, stream=wire, request=REQUEST)


@given(places, st.sampled_from(["", "gzip", "deflate"]), st.sampled_from(["sync", "async"]))
def test_every_byte_arrives_in_order_however_the_stream_is_cut(
    where: list[int], encoding: str, kind: str
) -> None:
    """What the consumer reads equals what was sent, compressed or not."""
    pack = {"": bytes, "gzip": lambda plain: packed(plain, 31), "deflate": zlib.compress}
    on_the_wire: bytes = pack[encoding](WHOLE)
    headers = {"content-encoding": encoding} if encoding else {}
    wire = Wire(cut(on_the_wire, where))
    assert Reader(kind).read(answered(wire, **headers)) == on_the_wire
    assert wire.closed


@given(places)
def test_a_decoded_stream_reads_as_it_would_have_without_the_peek(where: list[int]) -> None:
    """Decompression is left to the response, which does it once."""
    chunks = cut(packed(WHOLE, 31), where)
    peeked = answered(Wire(chunks), **{"content-encoding": "gzip"})
    peek(peeked, int)
    assert peeked.read() == packed_twice(chunks)


def packed_twice(chunks: list[bytes]) -> bytes:
    """Read the same chunks without a peek."""
    return answered(Wire(chunks), **{"content-encoding": "gzip"}).read()


def test_it_reads_no_further_than_the_first_content(reader: Reader) -> None:
    """The caller sees the first word as soon as it is there."""
    wire = Wire([*EVENTS])
    response = answered(wire)
    assert reader.peek(response) == GOOD
    assert wire.read == [*EVENTS].index(WORD) + 1
    assert not wire.closed


def test_a_stream_is_judged_once(reader: Reader) -> None:
    """The layers further out find the verdict."""
    response = answered(Wire([START, OVERLOAD]))
    assert verdict_of(response) is None
    reader.peek(response)
    assert verdict_of(response) == OVERLOADED


@pytest.mark.parametrize("events", [[OVERLOAD, PING], [START, PING], []])
def test_the_connection_of_a_failed_stream_is_given_back_at_once(
    reader: Reader, events: list[bytes]
) -> None:
    """A retry may be minutes away; the pool needs the connection now."""
    wire = Wire(events)
    response = answered(wire)
    assert reader.peek(response).failed
    assert wire.closed


def test_what_was_read_of_a_failed_stream_can_still_be_read(reader: Reader) -> None:
    """It is the SDK that raises its own error from it, if the failure is final."""
    assert reader.read(answered(Wire([START, OVERLOAD, b"never read"]))) == START + OVERLOAD


@pytest.mark.parametrize(
    "events", [[START, BLOCK, PING], [START, BLOCK, WORD], [START, BLOCK, WORD, BLOCK_END], []]
)
def test_a_clean_end_without_a_stop_reason_is_an_error(reader: Reader, events: list[bytes]) -> None:
    """The SDK alone would return half an answer and say nothing; all bytes come first."""
    seen: list[bytes] = []

    async def read_async() -> None:
        response = answered(Wire(events))
        await peek_async(response, int)
        async for chunk in response.aiter_raw():
            seen.append(chunk)

    def read() -> None:
        response = answered(Wire(events))
        peek(response, int)
        seen.extend(response.iter_raw())

    with pytest.raises(httpx2.RemoteProtocolError, match="without a stop reason") as caught:
        read() if reader.kind == "sync" else asyncio.run(read_async())
    assert caught.value.request is REQUEST
    assert b"".join(seen) == b"".join(events)


@pytest.mark.parametrize("last", [DELTA, STOP, OVERLOAD])
def test_a_stop_reason_or_an_error_makes_a_proper_end(reader: Reader, last: bytes) -> None:
    """Nothing is missing after either."""
    events = [START, BLOCK, WORD, last]
    assert reader.read(answered(Wire(events))) == b"".join(events)


@pytest.mark.parametrize("error", [httpx2.ReadTimeout("slow"), httpx2.RemoteProtocolError("cut")])
def test_a_break_before_content_raises_and_closes(
    reader: Reader, error: httpx2.TransportError
) -> None:
    """As in a body that httpx2 reads itself, the error knows its request."""
    wire = Wire([START, PING], error)
    response = answered(wire)
    with pytest.raises(type(error)) as caught:
        reader.peek(response)
    assert caught.value.request is REQUEST
    assert response.is_closed
    assert wire.closed


def test_a_break_after_content_reaches_the_reader(reader: Reader) -> None:
    """It is his, because he has seen something."""
    with pytest.raises(httpx2.ReadTimeout):
        reader.read(answered(Wire([START, WORD], httpx2.ReadTimeout("slow"))))


def test_the_time_is_checked_while_only_pings_arrive(reader: Reader) -> None:
    """Pings keep the read timeout from ending the wait, so somebody else must."""
    wire = Wire([PING] * 10)
    response = answered(wire)

    def check() -> None:
        if wire.read == 4:
            raise DeadlineExceeded("too late")

    with pytest.raises(DeadlineExceeded):
        reader.peek(response, check)
    assert wire.read == 4
    assert wire.closed


def test_a_cancelled_peek_closes_the_response() -> None:
    """The connection is not left hanging when the waiting task is cancelled."""
    wire = Wire([START])
    waiting = asyncio.Event()

    class Stalling(Wire):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield START
            waiting.set()
            await asyncio.Event().wait()

    wire = Stalling([])
    response = answered(wire)

    async def main() -> None:
        task = asyncio.create_task(peek_async(response, int))
        await waiting.wait()
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())
    assert wire.closed
    assert response.is_closed


def test_a_reader_who_stops_early_closes_the_stream(reader: Reader) -> None:
    """Breaking off is closing, with what was read ahead as well as without."""
    wire = Wire([START, WORD, *[PING] * 50])
    response = answered(wire)

    async def stop_early() -> None:
        await peek_async(response, int)
        async for _ in response.aiter_raw():
            break
        await response.aclose()

    if reader.kind == "sync":
        peek(response, int)
        for _ in response.iter_raw():
            break
        response.close()
    else:
        asyncio.run(stop_early())
    assert wire.closed
    assert wire.read < 10


@given(places, st.sampled_from(["sync", "async"]))
def test_a_collector_is_told_the_whole_body_at_the_end(where: list[int], kind: str) -> None:
    """Once, whichever way the stream was cut."""
    told: list[bytes | None] = []
    response = answered(Wire(cut(WHOLE, where)))

    async def main() -> None:
        await peek_async(response, int)
        response.stream.collect(told.append)  # type: ignore[union-attr]
        await response.aread()

    if kind == "async":
        asyncio.run(main())
    else:
        peek(response, int)
        response.stream.collect(told.append)  # type: ignore[union-attr]
        response.read()
    assert told == [WHOLE]


def test_a_collector_is_told_of_a_reader_who_stops_early(reader: Reader) -> None:
    """There is nothing whole to be had."""
    told: list[bytes | None] = []
    response = answered(Wire([START, WORD, *[PING] * 50]))

    async def main() -> None:
        await peek_async(response, int)
        response.stream.collect(told.append)  # type: ignore[union-attr]
        await response.aclose()

    if reader.kind == "async":
        asyncio.run(main())
    else:
        peek(response, int)
        response.stream.collect(told.append)  # type: ignore[union-attr]
        response.close()
    assert told == [None]


@pytest.mark.parametrize("kind", ["application/json", "application/x-jsonl", "", "text/html"])
def test_what_is_no_event_stream_is_left_alone(reader: Reader, kind: str) -> None:
    """Nothing is read of it."""
    wire = Wire([b'{"a": 1}\n' * 5])
    response = answered(wire, **{"content-type": kind})
    assert reader.peek(response) == GOOD
    assert wire.read == 0


def test_a_response_still_knows_how_long_it_took(reader: Reader) -> None:
    """`httpx2.Response.elapsed` looks for it on the stream."""
    response = answered(Wire([*EVENTS]))
    reader.peek(response)
    assert response.elapsed == datetime.timedelta(seconds=7)

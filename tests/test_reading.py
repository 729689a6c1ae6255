"""The limits on a body while somebody reads it, and what is left when it is closed."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import anthropic
import httpcore2
import httpx2
import pytest

from labkit.clock import SystemClock, VirtualClock
from labkit.errors import DeadlineExceeded
from labkit.flow import Request, Timeouts
from labkit.limits import Limits
from labkit.patience import limit, limit_async
from labkit.streams import peek, peek_async, verdict_of
from labkit.verdict import Verdict
from tests.sim.serving import eventually
from tests.wire import BLOCK, DELTA, EVENTS, PING, START, WORD

SSE = {"content-type": "text/event-stream"}
REQUEST = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")


class Wire(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """Hands out a chunk a second on a virtual clock; knows how many alarms were set at its end."""

    def __init__(self, clock: VirtualClock, *chunks: bytes) -> None:
        self.clock, self.chunks = clock, chunks
        self.alarms_at_close: list[int] = []

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.chunks:
            self.clock.sleep(1)
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            await asyncio.sleep(0)
            self.clock.advance(1)
            yield chunk

    def close(self) -> None:
        """Take note."""
        self.alarms_at_close.append(len(self.clock.alarms))

    async def aclose(self) -> None:
        """Do the same."""
        self.close()


class Scene:
    """A response on a virtual clock, with a layer's limits on it, and somebody who reads it."""

    def __init__(
        self, kind: str, *chunks: bytes, deadline: float | None = None, **timeouts: float
    ) -> None:
        self.kind = kind
        self.clock = VirtualClock()
        self.wire = Wire(self.clock, *chunks)
        self.response = httpx2.Response(200, headers=SSE, stream=self.wire, request=REQUEST)
        self.limit(deadline, **timeouts)

    def limit(self, deadline: float | None = None, **timeouts: float) -> None:
        """Set limits, as one layer does."""
        keep = limit if self.kind == "sync" else limit_async
        keep(self.response, Limits(self.clock, Request(), deadline, Timeouts(**timeouts)))

    def read(self) -> list[bytes]:
        """Read it to its end."""
        if self.kind == "sync":
            return list(self.response.iter_raw())

        async def read() -> list[bytes]:
            return [chunk async for chunk in self.response.aiter_raw()]

        return asyncio.run(read())


kinds = pytest.mark.parametrize("kind", ["sync", "async"])


@kinds
def test_what_is_in_time_arrives_whole(kind: str) -> None:
    """And no alarm stays behind."""
    scene = Scene(kind, *EVENTS, deadline=100, silence=5)
    assert scene.read() == [*EVENTS]
    assert scene.response.is_closed
    assert len(scene.clock.alarms) == 0


@kinds
def test_the_connection_is_closed_where_a_limit_breaks(kind: str) -> None:
    """And the alarm is gone by then: the next to use it may be somebody else."""
    scene = Scene(kind, START, BLOCK, WORD, *[PING] * 50, deadline=20)
    with pytest.raises(DeadlineExceeded):
        scene.read()
    assert scene.response.is_closed
    assert scene.wire.alarms_at_close
    assert set(scene.wire.alarms_at_close) == {0}
    assert scene.clock.now() == pytest.approx(20)


@kinds
def test_several_layers_limits_all_hold(kind: str) -> None:
    """The one that breaks gives its own error."""
    scene = Scene(kind, START, BLOCK, WORD, *[PING] * 50, silence=5)
    scene.limit(deadline=30)
    with pytest.raises(anthropic.APITimeoutError):
        scene.read()
    scene = Scene(kind, START, BLOCK, WORD, *[PING] * 50, silence=50)
    scene.limit(deadline=30)
    with pytest.raises(DeadlineExceeded):
        scene.read()


@kinds
def test_half_an_answer_with_its_stop_reason_is_whole_enough(kind: str) -> None:
    """After it nothing but the farewell is missing."""
    scene = Scene(kind, START, BLOCK, WORD, DELTA, *[PING] * 50, total=20)
    assert scene.read()[3] == DELTA


def test_whoever_closes_early_takes_the_alarm_away() -> None:
    """Before or after the first read."""
    scene = Scene("sync", *EVENTS, deadline=100)
    assert len(scene.clock.alarms) == 1
    scene.response.close()
    assert len(scene.clock.alarms) == 0
    scene = Scene("sync", *EVENTS, deadline=100)
    for _ in scene.response.iter_raw():
        break
    scene.response.close()
    assert len(scene.clock.alarms) == 0
    assert scene.wire.alarms_at_close == [0]


@pytest.mark.parametrize("reads", [0, 2])
@pytest.mark.parametrize("peeks", [False, True])
def test_whoever_closes_early_ends_an_async_body_too(reads: int, peeks: bool) -> None:
    """Nothing is left for the garbage collector to end in a task of its own."""
    scene = Scene("async", *EVENTS)
    ended: list[bool] = []

    class Body(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                for event in EVENTS:
                    yield event
            finally:
                ended.append(True)

    async def read() -> None:
        scene.response.stream = Body()
        if peeks:
            await peek_async(scene.response, int)
        scene.limit(deadline=100)
        scene.limit(silence=50)
        chunks = scene.response.aiter_raw()
        for _ in range(reads):
            await anext(chunks)
        await scene.response.aclose()
        assert ended == [True] * (peeks or reads > 0)
        await chunks.aclose()
        gc.collect()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(read())


def test_a_timeout_to_connect_alone_needs_no_watch() -> None:
    """Nor does one to the first token, once it is there."""
    scene = Scene("sync", *EVENTS, connect=1, first_token=2)
    assert scene.response.stream is scene.wire
    assert len(scene.clock.alarms) == 0


def test_what_has_been_read_needs_none_either() -> None:
    """A plain answer is whole when the layer gets it."""
    clock = VirtualClock()
    response = httpx2.Response(200, json={})
    limit(response, Limits(clock, Request(), 5, Timeouts()))
    assert len(clock.alarms) == 0


def test_the_verdict_of_a_peek_stands() -> None:
    """The layers further out find it where it was."""
    clock = VirtualClock()
    response = httpx2.Response(200, headers=SSE, stream=Wire(clock, *EVENTS), request=REQUEST)
    peek(response, int)
    limit(response, Limits(clock, Request(), 50, Timeouts()))
    assert verdict_of(response) == Verdict()
    assert b"".join(response.iter_raw()) == b"".join(EVENTS)


def test_a_body_of_no_events_is_cut_off_without_mercy() -> None:
    """Nobody can say that half of it is enough."""
    clock = VirtualClock()
    response = httpx2.Response(200, stream=Wire(clock, *[b"{}\n"] * 50), request=REQUEST)
    limit(response, Limits(clock, Request(), 20, Timeouts()))
    with pytest.raises(DeadlineExceeded):
        list(response.iter_raw())


class Line(httpx2.SyncByteStream, httpcore2.NetworkStream):
    """A body that comes straight from a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def __iter__(self) -> Iterator[bytes]:
        while data := self.connection.recv(100):
            yield data

    def get_extra_info(self, info: str) -> socket.socket | None:
        """Return the socket."""
        return self.connection if info == "socket" else None

    def close(self) -> None:
        """Close it."""
        self.connection.close()


def test_a_clean_end_after_hanging_up_is_no_end() -> None:
    """A body without a length ends with its connection, and this one we have ended ourselves."""
    near, far = socket.socketpair()
    near.settimeout(20)
    clock = SystemClock()
    line = Line(near)
    response = httpx2.Response(
        200, stream=line, request=REQUEST, extensions={"network_stream": line}
    )
    limit(response, Limits(clock, Request(), clock.now() + 0.05, Timeouts()))
    with far:
        far.sendall(b"half of ")
        with pytest.raises(DeadlineExceeded):
            list(response.iter_raw())


def test_a_stream_that_is_dropped_leaves_nothing_behind() -> None:
    """Nobody closed it, but its time comes all the same."""
    near, far = socket.socketpair()
    clock = SystemClock()

    def ask_and_forget() -> None:
        line = Line(near)
        response = httpx2.Response(
            200, stream=line, request=REQUEST, extensions={"network_stream": line}
        )
        limit(response, Limits(clock, Request(), clock.now() + 0.05, Timeouts()))

    with near, far:
        far.settimeout(20)
        ask_and_forget()
        gc.collect()
        assert far.recv(10) == b"", "the watchdog hangs up"
        eventually(lambda: len(clock.alarms) == 0)


def test_a_stream_may_be_read_in_another_thread() -> None:
    """The one that asked may have gone on to other things."""
    scene = Scene("sync", START, BLOCK, WORD, *[PING] * 50, deadline=20)
    found: list[BaseException] = []

    def read() -> None:
        try:
            scene.read()
        except DeadlineExceeded as error:
            found.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert len(found) == 1

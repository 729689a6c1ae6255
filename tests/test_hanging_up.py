"""Hanging up ends a read of another thread, and touches no connection but that one."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpcore2
import httpx2
import pytest

from labkit.hanging_up import hang_up, hang_up_thread
from tests.sim.serving import eventually

GUARD_S = 20.0
Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Give two sockets that are connected to each other."""
    near, far = socket.socketpair()
    near.settimeout(GUARD_S)
    with near, far:
        yield near, far


class Stream(httpcore2.NetworkStream):
    """A connection as httpcore has it."""

    def __init__(self, holds: socket.socket) -> None:
        self.holds = holds

    def get_extra_info(self, info: str) -> Any:
        """Return the socket."""
        return self.holds if info == "socket" else None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Read from it."""
        return self.holds.recv(max_bytes)


class HTTP2Connection(httpcore2.HTTP2Connection):
    """One that is shared by many calls."""

    def __init__(self, stream: Stream) -> None:
        self.shared = stream

    def read(self) -> bytes:
        """Read for everybody."""
        return self.shared.read(10)


def inside(work: Callable[[], object]) -> object:
    """Stand for the function a call is made in."""
    return work()


class Reader:
    """A thread that reads inside of `inside`, or beside it."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.found: list[object] = []
        self.thread = threading.Thread(target=self._run, args=(work,))
        self.thread.start()
        self.ident = self.thread.ident or 0
        time.sleep(0.02)  # by now it waits; were it later still, a test would only see less

    def _run(self, work: Callable[[], object]) -> None:
        try:
            self.found.append(work())
        except OSError as error:
            self.found.append(error)

    def ends(self) -> bool:
        """Say whether the read has come to an end."""
        self.thread.join(0.02)
        return not self.thread.is_alive()


def test_a_read_ends_when_its_connection_is_hung_up(pair: Pair) -> None:
    """It gets the end of the stream; the other side sees it too."""
    near, far = pair
    reader = Reader(lambda: inside(lambda: Stream(near).read(10)))
    eventually(lambda: hang_up_thread(reader.ident, inside.__code__))
    eventually(reader.ends)
    assert reader.found == [b""]
    assert far.recv(10) == b""


def test_a_socket_that_is_being_connected_is_found_too(pair: Pair) -> None:
    """`socket.create_connection` calls it `sock`."""

    def connect(sock: socket.socket) -> bytes:
        return sock.recv(10)

    reader = Reader(lambda: inside(lambda: connect(pair[0])))
    eventually(lambda: hang_up_thread(reader.ident, inside.__code__))
    eventually(reader.ends)


def test_a_connection_of_the_callers_own_is_left_alone(pair: Pair) -> None:
    """Whoever asks in the name of somebody else holds his line open meanwhile."""
    waiting = threading.Event()

    class Handler(Stream):
        def serve(self) -> object:
            sock = self.holds
            assert sock
            return inside(lambda: waiting.wait(GUARD_S))

    reader = Reader(Handler(pair[0]).serve)
    for _ in range(20):
        assert not hang_up_thread(reader.ident, inside.__code__)
    waiting.set()
    eventually(reader.ends)
    pair[1].sendall(b"still there")
    assert pair[0].recv(20) == b"still there"


def test_a_thread_that_is_not_inside_is_left_alone(pair: Pair) -> None:
    """The call has returned; what it reads now is none of our business."""
    reader = Reader(lambda: Stream(pair[0]).read(20))
    for _ in range(20):
        assert not hang_up_thread(reader.ident, inside.__code__)
    pair[1].sendall(b"still there")
    eventually(reader.ends)
    assert reader.found == [b"still there"]


def test_a_shared_connection_is_left_alone(pair: Pair) -> None:
    """Other calls of HTTP/2 are under way on it."""
    shared = HTTP2Connection(Stream(pair[0]))
    reader = Reader(lambda: inside(shared.read))
    for _ in range(20):
        assert not hang_up_thread(reader.ident, inside.__code__)
    pair[1].sendall(b"for all")
    eventually(reader.ends)


def test_a_thread_that_has_ended_is_no_matter() -> None:
    """There is nothing to hang up."""
    reader = Reader(lambda: None)
    eventually(reader.ends)
    assert not hang_up_thread(reader.ident, inside.__code__)


def test_a_response_knows_its_connection(pair: Pair) -> None:
    """httpx2 tells of it in the extensions."""
    response = httpx2.Response(200, extensions={"network_stream": Stream(pair[0])})
    assert hang_up(response)
    assert pair[1].recv(10) == b""
    pair[0].close()
    assert hang_up(response), "a second time does no harm"


def test_a_response_without_a_connection_of_its_own_is_left_alone(pair: Pair) -> None:
    """It came from memory, or over HTTP/2."""
    assert not hang_up(httpx2.Response(200))
    shared = {"network_stream": Stream(pair[0]), "http_version": b"HTTP/2"}
    assert not hang_up(httpx2.Response(200, extensions=shared))
    pair[1].sendall(b"still there")
    assert pair[0].recv(20) == b"still there"

"""A deadline over a real connection: it holds whatever the server does, and nothing is left over.

How exactly it holds is measured by `benchmarks/deadline.py`; the bound here is generous, since
a busy machine is late for everything.
"""

from __future__ import annotations

import asyncio
import socketserver
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import anthropic
import httpx2
import pytest

from labkit.errors import DeadlineExceeded
from labkit.layers.attempt_timeout import AttemptTimeout
from labkit.layers.deadline import Deadline
from labkit.layers.hedge import Hedge
from labkit.layers.retry import Retry
from labkit.sim.fault_kinds import BATCH_FAULTS, FAULTS
from labkit.sim.faults import Fault
from labkit.sim.server import create_app
from tests.sim.serving import BODY, Serving, eventually

PATIENCE_S = 0.25
GENEROUS_S = 1.0
SPEED = 20.0
ENDLESS = ("drip", "ping_only", "silence", "slow")
"""Faults that would keep a caller for minutes."""
ERRORS = (DeadlineExceeded, anthropic.APIError, httpx2.TransportError)


CASES = [(kind, 0) for kind in FAULTS if kind not in BATCH_FAULTS] + [
    (kind, 4) for kind in ("cut", "malformed_json", "no_message_stop", "stream_error")
]
"""Kinds of faults, and after how many events they strike where that matters."""


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    """Give one server for all faults, one after the other."""
    with Serving(speed=SPEED) as running:
        yield running


def let_fail(serving: Serving, kind: str, after: int = 0) -> None:
    """Let every request to the server meet a fault from now on."""
    faults = (Fault(kind, after=after, factor=1000.0),)
    serving.door.api = create_app(faults=faults, speed=SPEED).api


def stack() -> list[anthropic.Middleware]:
    """Give what a call usually runs through."""
    return [Deadline(PATIENCE_S), Retry(seed=1), AttemptTimeout(total=60)]


def call(
    url: str, *, stream: bool, layers: Sequence[anthropic.Middleware] = ()
) -> tuple[float, object]:
    """Call with a sync client and read to the end; return the seconds and what came of it."""
    options: Any = {"base_url": url, "api_key": "k", "max_retries": 0}
    with anthropic.Anthropic(middleware=layers or stack(), **options) as client:
        began = time.monotonic()
        try:
            end: object = client.messages.create(**BODY, stream=stream)
            end = list(end) if stream else end  # type: ignore[call-overload]
        except (*ERRORS, ValueError) as error:
            end = error
        return time.monotonic() - began, end


async def call_async(url: str, *, stream: bool) -> tuple[float, object]:
    """Do the same with an async client."""
    options: Any = {"base_url": url, "api_key": "k", "max_retries": 0}
    async with anthropic.AsyncAnthropic(middleware=stack(), **options) as client:
        began = time.monotonic()
        try:
            end: Any = await client.messages.create(**BODY, stream=stream)
            end = [event async for event in end] if stream else end
        except (*ERRORS, ValueError) as error:
            end = error
        return time.monotonic() - began, end


async def all_four(serving: Serving) -> list[tuple[float, object]]:
    """Call in every way at once; nothing but this task may be left."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(2) as pool:
        ways = [
            loop.run_in_executor(pool, lambda: call(serving.url, stream=False)),
            loop.run_in_executor(pool, lambda: call(serving.url, stream=True)),
            call_async(serving.url, stream=False),
            call_async(serving.url, stream=True),
        ]
        found = await asyncio.gather(*ways)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    return found


@pytest.mark.parametrize(("kind", "after"), CASES)
def test_the_caller_knows_in_time_whatever_goes_wrong(
    serving: Serving, kind: str, after: int
) -> None:
    """Sync and async, plain and streamed to the end; the server has nobody left to serve."""
    let_fail(serving, kind, after)
    found = asyncio.run(all_four(serving))
    eventually(lambda: serving.door.log.under_way == 0)
    assert max(seconds for seconds, _ in found) < PATIENCE_S + GENEROUS_S
    if kind in ENDLESS:
        assert [type(end) for _, end in found] == [DeadlineExceeded] * 4


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ENDLESS)
def test_attempts_at_once_all_end_in_time(serving: Serving, kind: str, stream: bool) -> None:
    """Also those that a sync client has in threads of their own."""
    let_fail(serving, kind)
    layers = [Deadline(PATIENCE_S), Hedge(0.05), AttemptTimeout(total=60)]
    seconds, end = call(serving.url, stream=stream, layers=layers)
    assert isinstance(end, DeadlineExceeded)
    assert seconds < PATIENCE_S + GENEROUS_S
    eventually(lambda: serving.door.log.under_way == 0)
    eventually(lambda: all(one.name != "labkit-attempt" for one in threading.enumerate()))


@contextmanager
def dripping_head() -> Iterator[str]:
    """Serve an answer whose head never ends, a byte at a time; say where.

    The simulator sends heads whole, so this is a server of its own.
    """
    over = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            with suppress(OSError):
                while not over.wait(0.02):
                    self.request.sendall(b"HTTP/1.1 200 OK\r\nx-drop: " if once else b"x")
                    once.clear()

    once = [True]
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            over.set()
            server.shutdown()
            thread.join()


def test_a_head_that_never_ends_is_hung_up_on() -> None:
    """Before there is a response only the thread's own stack knows the connection."""
    with dripping_head() as url:
        seconds, end = call(url, stream=False)
    assert isinstance(end, DeadlineExceeded)
    assert seconds < PATIENCE_S + GENEROUS_S


def test_the_watchdog_goes_home_when_nobody_waits(serving: Serving) -> None:
    """A thread is there while a call is under way, and not much longer."""
    let_fail(serving, "silence")
    call(serving.url, stream=False)
    eventually(lambda: all(one.name != "labkit-watchdog" for one in threading.enumerate()))

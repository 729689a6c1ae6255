"""A layer waits no longer than its limits allow, and cuts off what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import anthropic
import httpx2
import pytest

from labkit.clock import VirtualClock
from labkit.errors import DeadlineExceeded
from labkit.flow import Outcome, Request, Timeouts
from labkit.limits import Limits
from labkit.patience import wait, wait_async
from labkit.virtual_loop import run_virtual

OK = Outcome(status=200, value="answer")


def limits(clock: VirtualClock, deadline: float | None = None, **timeouts: float) -> Limits:
    """Set limits now."""
    return Limits(clock, Request(), deadline, Timeouts(**timeouts))


def run(answer: Awaitable[Outcome], clock: VirtualClock) -> Outcome:
    """Wait for ten seconds at most."""
    return run_virtual(wait_async(limits(clock, clock.now() + 10), answer), clock)


def test_what_is_in_time_is_returned() -> None:
    """With either client; the wait costs nothing, and no alarm stays behind."""
    clock = VirtualClock(5)
    assert run(asyncio.sleep(9, OK), clock) is OK

    def ask() -> Outcome:
        clock.sleep(9)
        return OK

    assert wait(limits(clock, total=10), ask) is OK
    assert len(clock.alarms) == 0


def test_what_takes_too_long_is_cancelled() -> None:
    """At the very second, and with the reason."""
    clock = VirtualClock()
    ended: list[float] = []

    async def slow() -> Outcome:
        try:
            return await asyncio.sleep(100, OK)
        finally:
            ended.append(clock.now())

    found = run(slow(), clock)
    assert isinstance(found.error, DeadlineExceeded)
    assert isinstance(found.error.__cause__, TimeoutError)
    assert ended == [10]


def test_a_thread_is_woken_where_it_sleeps() -> None:
    """What the wait led to is the cause of what the layer gets."""
    clock = VirtualClock()

    def slow() -> Outcome:
        try:
            clock.sleep(100)
        except DeadlineExceeded as error:
            return Outcome(error=error)
        return OK

    found = wait(limits(clock, first_token=10), slow)
    assert isinstance(found.error, anthropic.APITimeoutError)
    assert isinstance(found.error.__cause__, DeadlineExceeded)
    assert clock.now() == 10
    assert len(clock.alarms) == 0


def test_an_answer_over_a_line_that_was_hung_up_is_no_answer() -> None:
    """It may be half of one; its connection is closed."""
    clock = VirtualClock()
    response = httpx2.Response(200, stream=httpx2.ByteStream(b"{}"))
    carrier = type("Carrier", (), {"http_response": response})()

    def ask() -> Outcome:
        with pytest.raises(DeadlineExceeded):
            clock.sleep(11)
        return Outcome(status=200, value=carrier)

    assert not wait(limits(clock, total=10), ask).ok
    assert response.is_closed


def test_an_alarm_is_gone_when_the_wait_ends_in_an_error() -> None:
    """Whatever error it is."""
    clock = VirtualClock()

    def ask() -> Outcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wait(limits(clock, total=10), ask)
    assert len(clock.alarms) == 0


def test_a_timeout_of_somebody_elses_is_not_ours() -> None:
    """Whoever set it gets it."""

    async def other() -> Outcome:
        async with asyncio.timeout(3):
            return await asyncio.sleep(100, OK)

    with pytest.raises(TimeoutError):
        run(other(), VirtualClock())


def test_a_cancellation_from_outside_is_no_deadline() -> None:
    """The task that is cancelled is cancelled."""
    clock = VirtualClock()

    async def main() -> None:
        slow = asyncio.sleep(100, OK)
        task = asyncio.ensure_future(wait_async(limits(clock, 10), slow))
        await asyncio.sleep(1)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run_virtual(main(), clock)

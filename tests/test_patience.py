"""A deadline stops what has not begun, and cuts off what is under way."""

from __future__ import annotations

import asyncio

import pytest

from labkit.clock import VirtualClock
from labkit.errors import DeadlineExceeded
from labkit.flow import Request
from labkit.patience import check_time, in_time
from labkit.virtual_loop import run_virtual


@pytest.mark.parametrize("deadline", [None, 100.001, 1e9])
def test_before_the_deadline_nothing_happens(deadline: float | None) -> None:
    """There is time."""
    check_time(Request(deadline=deadline), VirtualClock(100))


@pytest.mark.parametrize("deadline", [100.0, 99.9, 0.0])
def test_from_the_deadline_on_it_is_too_late(deadline: float) -> None:
    """The deadline itself is too late already."""
    with pytest.raises(DeadlineExceeded):
        check_time(Request(deadline=deadline), VirtualClock(100))


def test_what_is_in_time_is_returned() -> None:
    """The wait costs nothing."""
    assert run_virtual(in_time(10, asyncio.sleep(9, "answer"))) == "answer"


def test_what_takes_too_long_is_cancelled() -> None:
    """At the very second, and with the reason."""
    clock = VirtualClock()
    ended: list[float] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(clock.now())

    with pytest.raises(DeadlineExceeded, match="under way") as caught:
        run_virtual(in_time(10, slow()), clock)
    assert ended == [10]
    assert isinstance(caught.value.__cause__, TimeoutError)


def test_a_timeout_of_somebody_elses_is_not_ours() -> None:
    """Whoever set it gets it."""

    async def other() -> None:
        async with asyncio.timeout(3):
            await asyncio.sleep(100)

    with pytest.raises(TimeoutError):
        run_virtual(in_time(10, other()))


def test_a_cancellation_from_outside_is_no_deadline() -> None:
    """The task that is cancelled is cancelled."""

    async def main() -> None:
        task = asyncio.ensure_future(in_time(10, asyncio.sleep(100)))
        await asyncio.sleep(1)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        run_virtual(main())

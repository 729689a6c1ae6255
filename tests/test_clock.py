"""Clocks: a real one that waits, and a virtual one that jumps."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.clock import SystemClock, VirtualClock
from labkit.virtual_loop import run_virtual


def test_a_virtual_sleep_moves_the_hands_and_does_not_wait() -> None:
    """An hour is over at once."""
    clock = VirtualClock(start=5)
    clock.sleep(3600)
    assert clock.now() == 3605


@given(st.lists(st.floats(allow_nan=True, allow_infinity=False), max_size=20))
def test_a_virtual_clock_never_runs_backwards(waits: list[float]) -> None:
    """Negative waits, and what is no number, are no waits."""
    clock = VirtualClock()
    for wait in waits:
        before = clock.now()
        clock.sleep(wait)
        assert clock.now() >= before
        assert wait > 0 or clock.now() == before


def test_threads_lose_no_time_on_a_shared_clock() -> None:
    """Every wait counts, whoever waits."""
    clock = VirtualClock()

    def work(_: int) -> None:
        for _ in range(1000):
            clock.sleep(0.5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert clock.now() == 4000


def test_on_its_own_loop_waits_overlap() -> None:
    """There a wait is a timer, so that ten tasks wait side by side."""
    clock = VirtualClock()

    async def main() -> None:
        await asyncio.gather(*(clock.sleep_async(10) for _ in range(10)))

    run_virtual(main(), clock)
    assert clock.now() == 10


def test_on_another_loop_a_wait_moves_the_hands() -> None:
    """A virtual clock does not hold a real loop up, but other tasks get their turn."""
    clock = VirtualClock()
    turns: list[str] = []

    async def other() -> None:
        turns.append("other")

    async def main() -> None:
        task = asyncio.create_task(other())
        await clock.sleep_async(10)
        turns.append("waited")
        await task

    asyncio.run(main())
    assert turns == ["other", "waited"]
    assert clock.now() == 10


def test_on_a_loop_with_another_clock_a_wait_moves_its_own_hands_only() -> None:
    """Two clocks are two times."""
    clock, loops = VirtualClock(), VirtualClock()
    run_virtual(clock.sleep_async(10), loops)
    assert (clock.now(), loops.now()) == (10, 0)


def test_the_system_clock_is_the_monotonic_one() -> None:
    """Nothing that sets the wall clock moves it."""
    before = time.monotonic()
    now = SystemClock().now()
    assert before <= now <= time.monotonic()


@pytest.mark.parametrize("seconds", [0.0, -1.0, -math.inf])
def test_a_system_clock_takes_no_wait_for_no_wait(seconds: float) -> None:
    """`time.sleep` would raise on a negative number."""
    SystemClock().sleep(seconds)
    asyncio.run(SystemClock().sleep_async(seconds))


def test_a_system_clock_really_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """It hands the wait to the machine."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    SystemClock().sleep(2.5)
    assert waited == [2.5]

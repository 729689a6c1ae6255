"""Waiting for a gate: a thread really blocks, a task is suspended, a virtual clock jumps."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from labkit.clock import Clock, SystemClock, VirtualClock
from labkit.errors import DeadlineExceeded, Deadlock
from labkit.flow import Flow, Gate, Outcome, Request, Wait
from labkit.layers.deadline import Deadline
from labkit.virtual_loop import run_virtual
from labkit.waiting import at_gate, at_gate_async
from tests.wire import SILENCE
from tests.world import Passing, Script, Scripted, World

FAR = 3600.0
"""Seconds that no test would survive."""


class Subscribed(Gate):
    """A gate that says when somebody has subscribed."""

    def __init__(self) -> None:
        super().__init__()
        self.somebody = threading.Event()

    def subscribe(self, call_back: Callable[[], object]) -> None:
        """Subscribe and say so."""
        super().subscribe(call_back)
        self.somebody.set()


def opened_by_a_thread(gate: Subscribed) -> threading.Thread:
    """Start a thread that opens the gate once somebody waits for it."""

    def work() -> None:
        gate.somebody.wait()
        gate.open()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


@pytest.mark.parametrize("patience", [None, FAR, float("inf")])
def test_a_thread_waits_until_another_opens_the_gate(patience: float | None) -> None:
    """And not a moment longer."""
    gate, clock = Subscribed(), SystemClock()
    thread = opened_by_a_thread(gate)
    assert at_gate(Wait(gate, None if patience is None else clock.now() + patience), clock)
    thread.join()


def test_a_thread_waits_no_longer_than_until() -> None:
    """On the clock of the driver, and the gate forgets it."""
    gate, clock = Gate(), SystemClock()
    until = clock.now() + 0.02
    assert not at_gate(Wait(gate, until), clock)
    assert clock.now() >= until


def test_an_open_gate_keeps_nobody_and_a_time_that_is_over_neither() -> None:
    """On any clock, without moving it."""
    gate, clock = Gate(), VirtualClock(10.0)
    for kind in (SystemClock(), clock):
        assert not at_gate(Wait(gate, kind.now() - 1.0), kind)
    gate.open()
    for kind in (SystemClock(), clock):
        assert at_gate(Wait(gate), kind)
        assert at_gate(Wait(gate, kind.now() - 1.0), kind)
    assert clock.now() == 10.0


def test_a_virtual_clock_jumps_since_nobody_else_can_open_the_gate() -> None:
    """To the time at which the wait ends."""
    clock = VirtualClock()
    assert not at_gate(Wait(Gate(), 30.0), clock)
    assert clock.now() == 30.0


@pytest.mark.parametrize("until", [None, float("inf")])
def test_a_wait_without_an_end_on_a_virtual_clock_is_a_deadlock(until: float | None) -> None:
    """Said at once and in words, rather than hanging."""
    with pytest.raises(Deadlock, match="async client"):
        at_gate(Wait(Gate(), until), VirtualClock())


def test_a_task_waits_until_another_opens_the_gate() -> None:
    """At the very moment, on virtual time."""

    async def scene() -> tuple[bool, float]:
        gate, loop = Gate(), asyncio.get_running_loop()
        loop.call_later(5.0, gate.open)
        return await at_gate_async(Wait(gate, 60.0), clock), clock.now()

    clock = VirtualClock()
    assert run_virtual(scene(), clock) == (True, 5.0)


def test_a_task_waits_no_longer_than_until() -> None:
    """And leaves neither a timer nor a subscriber behind."""

    async def scene() -> tuple[bool, float]:
        gate = Gate()
        opened = await at_gate_async(Wait(gate, 7.0), clock)
        gate.open()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return opened, clock.now()

    clock = VirtualClock()
    assert run_virtual(scene(), clock) == (False, 7.0)


def test_a_task_that_is_cancelled_while_it_waits_is_forgotten() -> None:
    """By the gate and by the loop."""

    async def scene() -> None:
        gate = Gate()
        waiting = asyncio.create_task(at_gate_async(Wait(gate, 60.0), clock))
        await asyncio.sleep(1.0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.open()
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    clock = VirtualClock()
    run_virtual(scene(), clock)


def test_tasks_for_a_gate_that_nobody_opens_are_a_deadlock() -> None:
    """The virtual loop says so."""

    async def scene() -> None:
        await at_gate_async(Wait(Gate()), clock)

    clock = VirtualClock()
    with pytest.raises(Deadlock):
        run_virtual(scene(), clock)


def test_a_thread_may_open_the_gate_of_a_task() -> None:
    """On an ordinary loop: it is woken from where it sleeps."""

    async def scene(clock: Clock) -> bool:
        gate = Subscribed()
        thread = opened_by_a_thread(gate)
        opened = await at_gate_async(Wait(gate, clock.now() + FAR), clock)
        thread.join()
        return opened

    assert asyncio.run(scene(SystemClock()))


def test_a_gate_that_opens_after_the_loop_has_gone_harms_nobody() -> None:
    """The thread that opens it has other things to do."""
    loop, gate = asyncio.new_event_loop(), Gate()
    waiting = loop.create_task(at_gate_async(Wait(gate), SystemClock()))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    gate.open()
    assert gate.is_open
    assert not waiting.done()


@pytest.mark.parametrize(("until", "told"), [(7.0, [False]), (60.0, [])])
def test_an_alarm_is_news_only_to_who_would_wait_longer(
    world: World, until: float, told: list[bool]
) -> None:
    """With either client; whoever waits until that very time goes on, and can say so."""
    opened: list[bool] = []

    def patient(_: Request) -> Flow:
        opened.append((yield Wait(Gate(), until)))
        return Outcome(error=DeadlineExceeded("It did not open."))

    outside = Passing()
    stack = [Deadline(7), outside, Scripted(patient)]
    with pytest.raises(DeadlineExceeded):
        world.run(lambda api: api.create(), Script(SILENCE), stack)
    assert opened == told
    assert [outcome.reason for outcome in outside.outcomes] == ["DeadlineExceeded"]
    assert world.clock.now() == 7

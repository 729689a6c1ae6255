"""Waiting for a gate: a thread by an event, a task by a future, a virtual clock by its hands."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from math import inf

from labkit.clock import Clock, VirtualClock
from labkit.errors import Deadlock
from labkit.flow import Wait
from labkit.timeouts import MOMENT
from labkit.wakening import check_alarms, woken

__all__ = ["at_gate", "at_gate_async"]


def at_gate(effect: Wait, clock: Clock) -> bool:
    """Block the thread until the gate is open or `until` has come; say whether it is open.

    Like the clock's `sleep` it raises DeadlineExceeded at the moment of an alarm of its thread.

    A virtual clock serves one thread, and that one waits here, so nobody is left to open the
    gate: the clock jumps to `until`.  Raises Deadlock where there is no such time.
    """
    gate, until = effect.gate, inf if effect.until is None else effect.until
    if not gate.is_open and isinstance(clock, VirtualClock):
        if until == inf:
            raise Deadlock(
                "On a virtual clock the sync client makes one call at a time, and this one waits "
                "for another. Use the async client, or the real clock and threads."
            )
        clock.sleep(until - clock.now())
    alarm = clock.alarms.earliest(until)
    last = until if alarm is None else alarm.due
    opened = threading.Event()
    gate.subscribe(opened.set)
    try:
        while not gate.is_open and (left := last - clock.now()) > 0:
            opened.wait(min(left, threading.TIMEOUT_MAX))
    finally:
        gate.unsubscribe(opened.set)
    if alarm is not None and not gate.is_open:
        clock.sleep(until - clock.now())  # the alarm ends this with `DeadlineExceeded`
    return gate.is_open


async def at_gate_async(effect: Wait, clock: Clock) -> bool:
    """Suspend the task until the gate is open or `until` has come; say whether it is open.

    Any thread may open the gate.  Raises DeadlineExceeded if an alarm of its task has rung before.
    """
    gate, until = effect.gate, inf if effect.until is None else effect.until
    left = until - clock.now()
    if gate.is_open or left <= 0:
        return gate.is_open
    check_alarms()
    loop = asyncio.get_running_loop()
    opened: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, opened)

    gate.subscribe(wake)
    alarm = None if left == inf else loop.create_task(clock.sleep_async(left))
    try:
        waited: set[asyncio.Future[None]] = {opened} if alarm is None else {opened, alarm}
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        if not woken() or clock.now() < until - MOMENT:
            raise  # an alarm for that very time is no news to who waits
    finally:
        gate.unsubscribe(wake)
        if alarm is not None:
            alarm.cancel()
    return gate.is_open


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)

"""Time as a thing one can hand over: the system's clock, or one that jumps instead of waiting.

The layers, the transports and the ledger never ask the operating system for the time.
They ask a clock.  On replay and in simulation that clock is virtual: waiting ten minutes
takes no time at all, and the chart shows ten minutes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import NoReturn, Protocol

from labkit.alarms import Alarm, Alarms, Watchdog
from labkit.errors import DeadlineExceeded

__all__ = ["Clock", "SystemClock", "VirtualClock"]


class Clock(Protocol):
    """What a driver needs to know about time. All values are seconds.

    `sleep` raises `DeadlineExceeded` at the moment of an alarm that its thread has set.
    """

    @property
    def alarms(self) -> Alarms:
        """The alarms that are set on this clock."""
        ...

    def now(self) -> float:
        """Return a time that never runs backwards; only differences mean anything."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait, blocking the thread."""
        ...

    async def sleep_async(self, seconds: float) -> None:
        """Wait, letting other tasks run."""
        ...


class SystemClock:
    """The machine's monotonic clock: waiting really waits."""

    def __init__(self) -> None:
        self.alarms: Alarms = Watchdog(self.now)

    def now(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block the thread for `seconds`."""
        alarm = self.alarms.earliest(self.now() + seconds)
        if alarm is None:
            time.sleep(max(0.0, seconds))
        else:
            time.sleep(max(0.0, alarm.due - self.now()))
            _wake(alarm)

    async def sleep_async(self, seconds: float) -> None:
        """Suspend the task for `seconds`."""
        await asyncio.sleep(max(0.0, seconds))


class VirtualClock:
    """A clock that starts at zero and jumps: `sleep` moves the hands and returns at once.

    One instance may serve a sync client and a `labkit.virtual_loop.VirtualLoop` at the same
    time; on that loop a wait is a timer, so that tasks overlap as they would in real life.
    """

    def __init__(self, start: float = 0.0) -> None:
        self.alarms = Alarms()
        self._now = start
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the hands forward; a negative amount is ignored."""
        if seconds > 0:
            with self._lock:
                self._now += seconds

    def sleep(self, seconds: float) -> None:
        """Move the hands forward by `seconds` without waiting."""
        alarm = self.alarms.earliest(self._now + seconds)
        if alarm is None:
            self.advance(seconds)
        else:
            self.advance(alarm.due - self._now)
            _wake(alarm)

    async def sleep_async(self, seconds: float) -> None:
        """Wait as a timer on a loop that runs on this clock; elsewhere just move the hands."""
        if getattr(asyncio.get_running_loop(), "clock", None) is self:
            await asyncio.sleep(max(0.0, seconds))
        else:
            self.advance(seconds)
            await asyncio.sleep(0)


def _wake(alarm: Alarm) -> NoReturn:
    alarm.rung = True
    raise DeadlineExceeded("The time that was set for this wait is over.")

"""The alarm of an async wait: a limit that breaks is a timeout, what anybody else cancels is not.

Nothing but a cancellation wakes a task, so all cancellations look alike.  Whose one is shows only
in the number of them: asyncio counts those that nobody has taken back.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

import anthropic
import httpx2

from labkit.errors import DeadlineExceeded
from labkit.flow import Outcome, Request

__all__ = ["ALARM", "AsyncAlarm", "check_alarms", "check_cancelled", "timed_out", "woken"]


class AsyncAlarm:
    """A timer that wakes the task that made it, and the alarm around it, if there is one."""

    __slots__ = ("around", "before", "task", "timer")

    def __init__(self, timer: asyncio.Timeout) -> None:
        self.timer, self.around = timer, ALARM.get()
        self.task = asyncio.current_task()
        self.before = 0 if self.task is None else self.task.cancelling()


ALARM: ContextVar[AsyncAlarm | None] = ContextVar("labkit_alarm", default=None)


def _rung() -> tuple[int, int]:
    """Return (alarms of this task that have rung, cancellations of it without anybody else's)."""
    alarm, task = ALARM.get(), asyncio.current_task()
    rung = before = 0
    while alarm is not None and alarm.task is task:
        rung += alarm.timer.expired()
        before, alarm = alarm.before, alarm.around
    return rung, before + rung


def woken() -> bool:
    """Say whether the cancellation that arrives here is an alarm's, and nobody else's besides."""
    rung, ours = _rung()
    task = asyncio.current_task()
    return rung > 0 and task is not None and task.cancelling() == ours


def check_cancelled(error: BaseException) -> None:
    """Raise `DeadlineExceeded` in place of a cancellation that is an alarm's."""
    if isinstance(error, asyncio.CancelledError) and woken():
        raise _late() from error


def check_alarms() -> None:
    """Raise `DeadlineExceeded` if an alarm has rung: then nothing inside of it begins to wait."""
    if _rung()[0]:
        raise _late()


def _late() -> DeadlineExceeded:  # in the words of the sync client's clock
    return DeadlineExceeded("The time that was set for this wait is over.")


def timed_out(request: Request) -> Outcome:
    """Return the outcome of an attempt that an alarm has ended."""
    error = anthropic.APITimeoutError(request=httpx2.Request(request.method, request.path))
    return Outcome(error=error, unreachable=True)

"""The alarm of an async wait: a limit that breaks is a timeout, what anybody else cancels is not.

Nothing but a cancellation wakes a task, so all cancellations look alike.  Whose one is shows only
in the number of them: asyncio counts those that nobody has taken back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import anthropic
import httpx2

from labkit.errors import DeadlineExceeded
from labkit.flow import Outcome, Request

__all__ = ["GRACE_S", "AsyncAlarm", "check_alarms", "check_cancelled", "timed_out", "woken"]

GRACE_S = 0.02
"""What the layers inside of a broken limit have for giving back what they took."""


class AsyncAlarm:
    """Cancels the task inside of it after `seconds` (None: never), as `asyncio.timeout` does.

    A layer makes a timeout of that, and the block ends as if nothing had happened.  Whoever waits
    on in spite of it, such as somebody else's middleware, is cancelled for good a moment later;
    then the block ends in a `TimeoutError`, unless the task is cancelled for another reason too.
    """

    __slots__ = ("_seconds", "_timer", "_token", "around", "before", "rung", "task")
    task: asyncio.Task[Any]

    def __init__(self, seconds: float | None) -> None:
        self._seconds, self.rung = seconds, 0

    def __enter__(self) -> AsyncAlarm:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("Nobody but a task can be woken.")
        self.task, self.before = task, task.cancelling()
        self.around = ALARM.get()
        self._token = ALARM.set(self)
        self._timer = None if self._seconds is None else self._set(self._seconds)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        ALARM.reset(self._token)
        for _time in range(self.rung):
            self.task.uncancel()
        if self.rung and kind is asyncio.CancelledError and self.task.cancelling() <= self.before:
            raise TimeoutError from error

    def _set(self, seconds: float) -> asyncio.TimerHandle:
        return self.task.get_loop().call_later(seconds, self._ring)

    def _ring(self) -> None:
        self.task.cancel()
        self.rung += 1
        self._timer = self._set(GRACE_S) if self.rung == 1 else None


ALARM: ContextVar[AsyncAlarm | None] = ContextVar("labkit_alarm", default=None)
"""The innermost alarm that is set; a task has its own, and sees those of who started it."""


def _alarms() -> Iterator[AsyncAlarm]:
    """Yield the alarms of this task, innermost first."""
    alarm, task = ALARM.get(), asyncio.current_task()
    while alarm is not None and alarm.task is task:
        yield alarm
        alarm = alarm.around


def woken() -> bool:
    """Say whether the cancellation that arrives here is an alarm's first, and nobody else's too."""
    alarms = list(_alarms())
    if {alarm.rung for alarm in alarms} not in ({1}, {0, 1}):
        return False
    theirs = sum(alarm.rung for alarm in alarms)
    return alarms[-1].task.cancelling() == alarms[-1].before + theirs


def check_cancelled(error: BaseException) -> None:
    """Raise `DeadlineExceeded` in place of a cancellation that is an alarm's."""
    if isinstance(error, asyncio.CancelledError) and woken():
        raise _late() from error


def check_alarms() -> None:
    """Raise `DeadlineExceeded` if an alarm has rung: then nothing inside of it begins to wait."""
    if any(alarm.rung for alarm in _alarms()):
        raise _late()


def _late() -> DeadlineExceeded:  # in the words of the sync client's clock
    return DeadlineExceeded("The time that was set for this wait is over.")


def timed_out(request: Request) -> Outcome:
    """Return the outcome of an attempt that an alarm has ended."""
    error = anthropic.APITimeoutError(request=httpx2.Request(request.method, request.path))
    return Outcome(error=error, unreachable=True)

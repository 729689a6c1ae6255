"""What a layer's deadline and timeouts allow, as points in time, and the error where they break.

That is `DeadlineExceeded` where the deadline has passed, and where a timeout broke the SDK's own
`anthropic.APITimeoutError`, which is transient.
"""

from __future__ import annotations

from math import inf

import anthropic
import httpx2

from labkit.clock import Clock
from labkit.errors import DeadlineExceeded
from labkit.flow import Outcome, Request, Timeouts
from labkit.timeouts import MOMENT

__all__ = ["Limits", "check_time", "check_wait", "limits_of"]

UNLIMITED = Timeouts()


class Limits:
    """The points in time that one layer has set for what it sends; `inf` where there is none."""

    __slots__ = ("clock", "deadline", "first", "last", "request", "timeout")

    def __init__(
        self, clock: Clock, request: Request, deadline: float | None, timeout: Timeouts
    ) -> None:
        now = clock.now()
        self.clock, self.request, self.timeout = clock, request, timeout
        self.deadline = inf if deadline is None else deadline
        self.last = min(self.deadline, _after(now, timeout.total))
        self.first = min(self.last, _after(now, timeout.first_token))

    def silent_until(self) -> float:
        """Return when the next content must be there, if some has come just now."""
        return min(self.last, _after(self.clock.now(), self.timeout.silence))

    def broken(self, sent: httpx2.Request | None = None) -> Exception:
        """Return the error of a wait that was ended."""
        if self.clock.now() >= self.deadline - MOMENT:  # a loop's timer may come a little early
            return DeadlineExceeded("The deadline passed while the attempt was under way.")
        if sent is None:
            sent = httpx2.Request(self.request.method, self.request.path)
        error = anthropic.APITimeoutError(request=sent)
        error.add_note(f"What broke was one of {self.timeout}.")
        return error

    def outcome(self, seen: Outcome | None = None, cause: BaseException | None = None) -> Outcome:
        """Return the outcome of a wait that was ended, in place of the one that it led to."""
        before = cause if seen is None else seen.error
        error = self.broken(getattr(before, "request", None))
        if (
            seen is not None
            and isinstance(error, DeadlineExceeded)
            and isinstance(before, type(error))
        ):
            return seen  # a layer further in has said so already, and more
        error.__cause__ = before
        return Outcome(error=error, unreachable=isinstance(error, anthropic.APITimeoutError))


def _after(now: float, seconds: float | None) -> float:
    return inf if seconds is None else now + seconds


def limits_of(request: Request, asked: Request, clock: Clock) -> Limits | None:
    """Return what a layer that was asked one request and sends another has to enforce itself.

    None if it inherits both deadline and timeout: then the layer that set them sees to them.
    """
    deadline = None if request.deadline == asked.deadline else request.deadline
    timeout = None if request.timeout is asked.timeout else request.timeout
    if deadline is None and timeout is None:
        return None
    return Limits(clock, request, deadline, timeout or UNLIMITED)


def check_time(request: Request, clock: Clock) -> None:
    """Raise `DeadlineExceeded` if the request's deadline has passed."""
    if request.deadline is not None and clock.now() >= request.deadline:
        raise DeadlineExceeded("The deadline passed before there was an answer.")


def check_wait(request: Request, clock: Clock) -> None:
    """Raise `httpx2.ReadTimeout` if the deadline has passed for an attempt that is under way."""
    if request.deadline is not None and clock.now() >= request.deadline:
        raise httpx2.ReadTimeout("The deadline passed before there was an answer.")

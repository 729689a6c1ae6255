"""The SDK's timeouts, shortened to what is left of a deadline.

The SDK takes four lengths of time (connect, read, write, pool); a layer takes one timeout for
the attempt and one deadline for the call.  Here the earliest wins.
"""

from __future__ import annotations

import anthropic
import httpx2

from labkit.flow import Request

__all__ = ["MOMENT", "limit_of", "shortened", "within"]

MOMENT = 0.001
"""Seconds.  The shortest timeout, and the longest excess that is not worth shortening again."""


def limit_of(request: Request, now: float) -> float | None:
    """Return the seconds an attempt may take that begins now, None where nobody set a limit."""
    if request.deadline is None:
        return request.timeout
    left = max(MOMENT, request.deadline - now)
    return left if request.timeout is None else min(left, request.timeout)


def within(timeout: object, limit: float) -> bool:
    """Say whether a timeout of the SDK keeps to the limit, give or take a moment.

    A layer further out shortened it some microseconds ago; doing it again would gain nothing.
    """
    limit += MOMENT
    if isinstance(timeout, httpx2.Timeout):
        for length in (timeout.read, timeout.connect, timeout.write, timeout.pool):
            if length is None or length > limit:  # `all` would take three times as long
                return False
        return True
    return isinstance(timeout, (int, float)) and timeout <= limit


def shortened(timeout: object, limit: float) -> httpx2.Timeout:
    """Return a timeout of the SDK with no length above `limit`.

    What is neither a timeout nor a number of seconds stands for the SDK's default.
    """
    given = timeout if isinstance(timeout, httpx2.Timeout) else anthropic.DEFAULT_TIMEOUT
    if isinstance(timeout, (int, float)):
        given = httpx2.Timeout(timeout)
    return httpx2.Timeout(
        connect=_least(given.connect, limit),
        read=_least(given.read, limit),
        write=_least(given.write, limit),
        pool=_least(given.pool, limit),
    )


def _least(length: float | None, limit: float) -> float:
    return limit if length is None else min(length, limit)

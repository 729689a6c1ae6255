"""The SDK's timeouts, shortened to what is left of a deadline.

The SDK takes four lengths of time (connect, read, write, pool); layers set timeouts for the
attempt and one deadline for the call.  Here the earliest wins.
"""

from __future__ import annotations

from math import inf

import anthropic
import httpx2

from labkit.flow import Request, Timeouts

__all__ = ["MOMENT", "limit_of", "shortened", "within"]

MOMENT = 0.001
"""Seconds.  The shortest timeout, and the longest excess that is not worth shortening again."""


def limit_of(request: Request, now: float) -> float | None:
    """Return the longest silence an attempt that begins now may show, None without a limit.

    This is what the SDK's timeouts can do; what they cannot is the work of `labkit.limits`.
    """
    longest = None if request.timeout is None else _longest_silence(request.timeout, request.stream)
    if request.deadline is None:
        return longest
    left = max(MOMENT, request.deadline - now)
    return left if longest is None else min(left, longest)


def _longest_silence(timeout: Timeouts, stream: bool) -> float | None:
    first, total = timeout.first_token, timeout.total
    if stream:  # the SDK has one length for the wait before the first content and those after it
        silence = timeout.silence
        first = None if first is None or silence is None else max(first, silence)
    return min((length for length in (first, total) if length is not None), default=None)


def within(timeout: object, limit: float, connect: float = inf) -> bool:
    """Say whether a timeout of the SDK keeps to the limits, give or take a moment or a hundredth.

    A layer further out shortened it some microseconds ago, or to a deadline a little later; doing
    it again would gain nothing, since every layer ends its own waits in time.
    """
    limit += max(MOMENT, limit / 100)
    if isinstance(timeout, httpx2.Timeout):
        for length in (timeout.read, timeout.connect, timeout.write, timeout.pool):
            if length is None or length > limit:  # `all` would take three times as long
                return False
        getting_there = (timeout.connect or 0.0, timeout.pool or 0.0)
        return connect == inf or max(getting_there) <= connect + MOMENT
    return isinstance(timeout, (int, float)) and timeout <= min(limit, connect + MOMENT)


def shortened(timeout: object, limit: float, connect: float = inf) -> httpx2.Timeout:
    """Return a timeout of the SDK with no length above `limit`.

    Neither getting a connection from the pool nor opening one takes more than `connect`.  What
    is neither a timeout nor a number of seconds stands for the SDK's default.
    """
    given = timeout if isinstance(timeout, httpx2.Timeout) else anthropic.DEFAULT_TIMEOUT
    if isinstance(timeout, (int, float)):
        given = httpx2.Timeout(timeout)
    return httpx2.Timeout(
        connect=_least(given.connect, min(limit, connect)),
        read=_least(given.read, limit),
        write=_least(given.write, limit),
        pool=_least(given.pool, min(limit, connect)),
    )


def _least(length: float | None, limit: float) -> float | None:
    if length is None:
        return None if limit == inf else limit
    return min(length, limit)

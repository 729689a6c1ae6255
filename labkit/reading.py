"""The limits on a body while somebody reads it: to its last byte, and from content to content.

The layers have returned by then, so whoever reads gets the error.  Only the server's time
counts as silence, not the time a reader takes between two reads.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from math import inf

import httpx2

from labkit.alarms import Alarm
from labkit.errors import DeadlineExceeded
from labkit.hanging_up import hang_up
from labkit.limits import Limits
from labkit.timeouts import MOMENT
from labkit.verdict import Watch

__all__ = ["Vigil", "in_time"]

ENDED = (httpx2.TransportError, DeadlineExceeded)
"""What a read that is ended raises: over a socket, and on a virtual clock."""


class _Pace:
    """How long the next wait may take: what is left of the silence, and of everything."""

    def __init__(self, watch: Watch, limits: Limits) -> None:
        silence = limits.timeout.silence
        self.watch, self.limits = watch, limits
        self.silence = inf if silence is None else silence
        self.left, self.seen = self.silence, watch.contents
        self.began = self.due = 0.0

    def begin(self) -> float:
        """Begin a wait; return when it must have ended."""
        if self.watch.contents > self.seen:
            self.seen, self.left = self.watch.contents, self.silence
        self.began = self.limits.clock.now()
        self.due = min(self.limits.last, self.began + self.left)
        return self.due

    def is_over(self) -> bool:
        """End a wait; say whether it took too long."""
        now = self.limits.clock.now()
        self.left -= now - self.began
        return now >= self.due - MOMENT


class Vigil:
    """One layer's limits on a body that a sync client reads; `end` it before the body is closed."""

    def __init__(self, response: httpx2.Response, watch: Watch, limits: Limits) -> None:
        self.response, self.watch, self.limits = response, watch, limits
        self.alarm = Alarm(limits.last, self._hang_up, repeats=False)
        limits.clock.alarms.set(self.alarm)

    def end(self) -> None:
        """Watch no longer."""
        self.limits.clock.alarms.drop(self.alarm)

    def chunks(self, rest: Iterator[bytes]) -> Iterator[bytes]:
        """Pass the rest of the body on; raise where a limit breaks."""
        pace = _Pace(self.watch, self.limits)
        while True:
            chunk, failure = self._next(rest, pace.begin())
            if pace.is_over() or self.alarm.rung:
                self.response.close()
                if self.watch.closed:
                    return
                raise self.limits.broken(self.response.request) from failure
            if failure is not None:
                raise failure
            if chunk is None:
                return
            yield chunk

    def _next(self, rest: Iterator[bytes], due: float) -> tuple[bytes | None, Exception | None]:
        """Wait for a chunk, until `due`; outside of this only the last limit can ring."""
        alarm, last = self.alarm, self.limits.last
        alarm.thread = threading.get_ident()
        if due < last:
            alarm.due = due
            self.limits.clock.alarms.set(alarm)
        try:
            return next(rest, None), None
        except ENDED as error:
            return None, error
        finally:
            alarm.due, alarm.thread = last, None

    def _hang_up(self) -> bool:
        hang_up(self.response)
        return True


async def in_time(
    rest: AsyncIterator[bytes], response: httpx2.Response, watch: Watch, limits: Limits
) -> AsyncGenerator[bytes, None]:
    """Pass the rest of a body on to an async client; raise where a limit breaks."""
    pace = _Pace(watch, limits)
    try:
        while True:
            chunk, failure = await _next_chunk(rest, pace)
            if pace.is_over():
                await response.aclose()
                if watch.closed:
                    return
                raise limits.broken(response.request) from failure
            if chunk is None:
                return
            yield chunk
    finally:
        if isinstance(rest, AsyncGenerator):
            await rest.aclose()


async def _next_chunk(
    rest: AsyncIterator[bytes], pace: _Pace
) -> tuple[bytes | None, Exception | None]:
    due = pace.begin()
    try:
        async with asyncio.timeout(due - pace.began if due < inf else None) as timer:
            return await anext(rest, None), None
    except TimeoutError as error:
        if not timer.expired():
            raise
        return None, error

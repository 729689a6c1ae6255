"""What a circuit has seen lately: calls, failures and slow calls, over a window that slides.

The window is cut into slices and moves by one slice at a time, so the work is the same for ten
calls and for ten million.  It is told the time and has no clock.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

__all__ = ["Counts", "Health"]


class Counts(NamedTuple):
    """How many calls ended, how many of them failed, how many took too long."""

    calls: int
    failures: int
    slow: int


class Health:
    """Counts over the last `window` seconds, in `slices` steps; the newest slice is under way.

    A clock that stands still or steps back changes nothing: the newest slice stays the newest.
    """

    def __init__(self, window: float, slices: int) -> None:
        self._width = window / slices
        self._length = slices
        self._slices: deque[list[int]] = deque()  # each is [number, calls, failures, slow]
        self._newest = [0, 0, 0, 0]
        self._ends = float("-inf")

    def enter(self, now: float, *, failed: bool = False, slow: bool = False) -> None:
        """Count a call that ends now."""
        if now >= self._ends:
            self._move_to(now)
        newest = self._newest
        newest[1] += 1
        if failed or slow:
            newest[2] += failed
            newest[3] += slow

    def correct(self, now: float) -> None:
        """Count as failed, from now on, a call that was entered as good and broke later."""
        if now >= self._ends:
            self._move_to(now)
        self._newest[2] += 1

    def counts(self, now: float) -> Counts:
        """Return what the window holds at `now`."""
        if now >= self._ends:
            self._move_to(now)
        kept = self._slices
        return Counts(sum(s[1] for s in kept), sum(s[2] for s in kept), sum(s[3] for s in kept))

    def clear(self) -> None:
        """Forget everything."""
        self._slices.clear()
        self._ends = float("-inf")

    def _move_to(self, now: float) -> None:
        number = int(now // self._width)
        self._newest = [number, 0, 0, 0]
        self._slices.append(self._newest)
        while self._slices[0][0] <= number - self._length:
            self._slices.popleft()
        self._ends = (number + 1) * self._width

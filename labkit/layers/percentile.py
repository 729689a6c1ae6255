"""A percentile of the latest times, kept in order as they come."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from math import ceil

__all__ = ["Percentile"]


class Percentile:
    """The time within which a `share` of the `latest` so many lay; 0.95 is the p95.

    With fewer than `least` times there is no `value` yet: it would be a guess.  Raises ValueError
    unless the share lies between 0 and 1 and there is something to count.
    """

    def __init__(self, share: float, *, latest: int = 1000, least: int = 50) -> None:
        if not 0 < share < 1:
            raise ValueError(f"A percentile's share lies between 0 and 1, which {share} does not.")
        if not 1 <= least <= latest:
            raise ValueError(f"At least {least} of the latest {latest} times make no sense.")
        self.share, self.latest, self.least = share, latest, least
        self._in_turn: deque[float] = deque()
        self._in_order: list[float] = []

    def enter(self, seconds: float) -> None:
        """Take a time in; the oldest is forgotten if there are too many."""
        self._in_turn.append(seconds)
        insort(self._in_order, seconds)
        if len(self._in_turn) > self.latest:
            oldest = self._in_turn.popleft()
            del self._in_order[bisect_left(self._in_order, oldest)]

    @property
    def value(self) -> float | None:
        """Seconds, by the nearest rank; None while there are too few times."""
        count = len(self._in_order)
        if count < self.least:
            return None
        return self._in_order[ceil(self.share * count) - 1]

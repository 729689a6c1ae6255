"""A retry budget: retries stay a small share of the calls, however many calls fail.

Attempts bound one call; only a budget bounds the whole client.  Without one, an outage turns
every call into three, and the extra load keeps the service down after its cause is gone.  A
budget helps only while (1 + ratio) times the calls fits the service's capacity
(resilience.md 2.1, check 8).

The budget is a pure object: it is told `now` in seconds on any clock that starts anywhere, and
whoever shares it holds the lock.  One budget may serve many retry layers and clients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["RetryBudget", "RetryBudgetStatistics"]

ROUNDING = 1e-9
"""Slack when counting whole retries, so that 0.29 * 100 allows 29 of them and not 28."""
LONG_AGO = -(10**18)
"""A slice before any clock's first."""


@dataclass(frozen=True, slots=True)
class RetryBudgetStatistics:
    """What a retry budget saw in its window, and how many retries it would grant now."""

    calls: int
    granted: int
    refused: int
    balance: int


class RetryBudget:
    """Grants retries up to `ratio` of the calls in the last `window` seconds, plus a floor.

    `floor` is in retries per second: it lets a quiet client retry at all, and it is per budget,
    so a thousand processes bring a thousand floors.  Time is cut into `slices` per window, which
    keeps the work of every method the same for ten calls and for ten million.  Calls are counted
    over `slices` slices and retries over one more, so the bound also holds in the exact window
    that ends at any grant; in return a steady client gets (slices - 0.5)/(slices + 0.5) of its
    ratio, 9.8 of 10 per cent.  A clock that stands still or steps back changes nothing: time
    stays at the latest slice seen.

    Raises:
        ValueError: a share, length or number that makes no sense.
    """

    def __init__(
        self, ratio: float = 0.1, *, floor: float = 0.5, window: float = 10.0, slices: int = 50
    ) -> None:
        if not 0 <= ratio < math.inf:
            raise ValueError(f"The ratio must be 0 or more, and finite, not {ratio}.")
        if not 0 <= floor < math.inf:
            raise ValueError(f"The floor must be 0 retries a second or more, not {floor}.")
        if not 0 < window < math.inf:
            raise ValueError(f"The window must be longer than 0 seconds, and finite, not {window}.")
        if slices < 1:
            raise ValueError(f"The window needs at least one slice, not {slices}.")
        self.ratio = ratio
        self.floor = floor
        self.window = window
        self._width = window / slices
        self._calls = _SlicedCount(slices)
        self._granted = _SlicedCount(slices + 1)
        self._refused = _SlicedCount(slices)

    def record_call(self, now: float) -> None:
        """Count a call: once when its first attempt is sent, never for its retries."""
        self._move_to(now)
        self._calls.add()

    def try_spend(self, now: float) -> bool:
        """Take one retry and return True, or return False because the budget is spent."""
        self._move_to(now)
        if self._balance() < 1:
            self._refused.add()
            return False
        self._granted.add()
        return True

    def give_back(self, now: float, granted_at: float | None = None) -> None:
        """Return a retry that was granted but never sent, because its wait was cut short.

        `granted_at` is the time of its `try_spend`; a grant that has left the window has nothing
        to return.  Without it the oldest grant still counted is returned, the one worth least:
        right whenever the wait was shorter than the window.  Returning more than was spent does
        nothing.
        """
        self._move_to(now)
        self._granted.remove(None if granted_at is None else self._slice(granted_at))

    def statistics(self, now: float) -> RetryBudgetStatistics:
        """Return the counts of the window that ends at `now`."""
        self._move_to(now)
        balance = max(0, self._balance())
        return RetryBudgetStatistics(
            self._calls.total, self._granted.total, self._refused.total, balance
        )

    def _balance(self) -> int:
        allowance = self.ratio * self._calls.total + self.floor * self.window
        return math.floor(allowance + ROUNDING) - self._granted.total

    def _slice(self, now: float) -> int:
        return math.floor(now / self._width)

    def _move_to(self, now: float) -> None:
        for count in (self._calls, self._granted, self._refused):
            count.move_to(self._slice(now))


class _SlicedCount:
    """A count over the newest slices of time: a ring of numbers and their running total."""

    def __init__(self, slices: int) -> None:
        self.total = 0
        self._ring = [0] * slices
        self._newest = LONG_AGO

    def move_to(self, newest: int) -> None:
        """Make room for new slices: at most one turn of the ring, however long the pause."""
        for entered in range(max(self._newest, newest - len(self._ring)) + 1, newest + 1):
            place = entered % len(self._ring)
            self.total -= self._ring[place]
            self._ring[place] = 0
        self._newest = max(self._newest, newest)

    def add(self) -> None:
        """Count one more in the newest slice."""
        self._change(self._newest, 1)

    def remove(self, wanted: int | None) -> None:
        """Count one less in the slice `wanted`, None for the oldest that has any."""
        alive = range(self._newest - len(self._ring) + 1, self._newest + 1)
        for entered in alive if wanted is None else (wanted,):
            if entered in alive and self._ring[entered % len(self._ring)]:
                self._change(entered, -1)
                return

    def _change(self, entered: int, amount: int) -> None:
        self._ring[entered % len(self._ring)] += amount
        self.total += amount

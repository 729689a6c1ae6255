"""A booking desk for a rate limit: each call books its share and learns how long to wait.

A continuous token bucket that may go into debt: a booking is taken at once, and the wait is
the time until the debt is paid off.  So calls go out in the order in which they booked,
without a queue, a timer or a thread.  In any stretch of time no more goes out than `burst` and
what the stretch refills.
"""

from __future__ import annotations

__all__ = ["Quota"]


class Quota:
    """One limit of so much a minute, of which at most `burst` (default: a tenth) at once.

    `level` is what is left, below zero when calls are waiting.  Times are in seconds on any
    clock.  Raises ValueError unless both are above zero.
    """

    __slots__ = ("_at", "_per_second", "burst", "level", "per_minute")

    def __init__(self, per_minute: float, *, burst: float | None = None) -> None:
        self.per_minute = float(per_minute)
        self.burst = float(burst) if burst is not None else max(1.0, self.per_minute / 10)
        if not (self.per_minute > 0 and self.burst > 0):
            raise ValueError("A quota and its burst must be above zero.")
        self.level = self.burst
        self._per_second = self.per_minute / 60
        self._at = float("-inf")

    def book(self, amount: float, now: float) -> float:
        """Take `amount` and return the seconds to wait before using it."""
        level = self._refilled(now) if now > self._at else self.level
        self.level = level = level - amount
        return 0.0 if level >= 0 else -level / self._per_second

    def give_back(self, amount: float) -> None:
        """Return what was booked and not used (or, negative, take what was used on top)."""
        self.level = min(self.burst, self.level + amount)

    def learn(self, remaining: float, now: float) -> None:
        """Believe the server when it says that less is left than we thought."""
        self.level = min(self._refilled(now), remaining)

    def pause(self, seconds: float, now: float) -> None:
        """Let nothing that is booked from now on go out for `seconds`; then go on at the rate."""
        self.learn(-seconds * self._per_second, now)

    def _refilled(self, now: float) -> float:
        if now <= self._at:
            return self.level
        level = self.level + (now - self._at) * self._per_second
        self._at = now
        return level if level < self.burst else self.burst

"""A booking desk for a rate limit: each call books its share and learns how long to wait.

A continuous token bucket that may go into debt: a booking is taken at once, and the wait is
the time until the debt is paid off.  So calls go out in the order in which they booked,
without a queue, a timer or a thread.
"""

from __future__ import annotations

__all__ = ["Quota"]


class Quota:
    """One limit of so much a minute, of which at most `burst` (default: a tenth) at once.

    Raises ValueError unless both are above zero.
    """

    __slots__ = ("_at", "burst", "level", "per_minute")

    def __init__(self, per_minute: float, *, burst: float | None = None) -> None:
        self.per_minute = float(per_minute)
        self.burst = float(burst) if burst is not None else max(1.0, self.per_minute / 10)
        if not (self.per_minute > 0 and self.burst > 0):
            raise ValueError("A quota and its burst must be above zero.")
        self.level = self.burst
        self._at = float("-inf")

    def book(self, amount: float, now: float) -> float:
        """Take `amount` and return the seconds to wait before using it."""
        self._refill(now)
        self.level = level = self.level - amount
        return 0.0 if level >= 0 else -level * 60 / self.per_minute

    def give_back(self, amount: float) -> None:
        """Return what was booked and not used (or, negative, take what was used on top)."""
        self.level = min(self.burst, self.level + amount)

    def learn(self, remaining: float, now: float) -> None:
        """Believe the server when it says that less is left than we thought."""
        self._refill(now)
        self.level = min(self.level, remaining)

    def _refill(self, now: float) -> None:
        gained = (now - self._at) * self.per_minute / 60
        if gained > 0:
            self.level = min(self.burst, self.level + gained)
            self._at = now

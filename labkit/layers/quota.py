"""A token bucket for one rate limit: what is there goes out at once, the rest at the rate.

A booking larger than the burst goes out once the bucket is full and leaves a debt.  So in any
stretch of time no more goes out than the burst (or the largest booking), and what the stretch
refills.
"""

from __future__ import annotations

from math import inf

__all__ = ["Quota"]


class Quota:
    """One limit of so much a minute, of which at most `burst` (default: a tenth) at once.

    `level` is what is left, below zero in debt; `taken` is all that was ever booked, less what
    was given back.  A limit of `inf` is none.  Times are in seconds on any clock that does not
    run backwards.  Raises ValueError unless rate and burst are above zero.
    """

    __slots__ = ("_at", "burst", "level", "per_minute", "per_second", "taken")

    def __init__(self, per_minute: float = inf, *, burst: float | None = None) -> None:
        self.per_minute = self.per_second = self.burst = self.level = inf
        self._at = -inf
        self.taken = 0.0
        self.change(per_minute, burst=burst)

    def change(self, per_minute: float, *, burst: float | None = None) -> None:
        """Set another limit; what is left stays, as far as it fits the new burst."""
        burst = max(1.0, per_minute / 10) if burst is None else burst
        if not (per_minute > 0 and burst > 0):
            raise ValueError("A quota and its burst must be above zero.")
        self.per_minute = float(per_minute)
        self.per_second = self.per_minute / 60
        self.burst = float(burst)
        self.level = min(self.level, self.burst)

    def refill(self, now: float) -> None:
        """Bring the level up to date."""
        if now > self._at:
            level = self.level + (now - self._at) * self.per_second
            self.level = level if level < self.burst else self.burst
            self._at = now

    def take_if_ready(self, amount: float, now: float) -> bool:
        """Book an amount if it may be taken now, and say whether it could."""
        level, burst, at = self.level, self.burst, self._at
        if now > at:
            level += (now - at) * self.per_second
            if level > burst:
                level = burst
            self._at = now
        if level < amount and level < burst:
            self.level = level
            return False
        self.level = level - amount
        self.taken += amount
        return True

    def wait_for(self, amount: float, ahead: float = 0.0) -> float:
        """Return the seconds until `amount` may be taken, after those `ahead` have taken theirs."""
        short = ahead + (amount if amount < self.burst else self.burst) - self.level
        return short / self.per_second if short > 0 else 0.0

    def take(self, amount: float) -> None:
        """Book an amount."""
        self.level -= amount
        self.taken += amount

    def give_back(self, amount: float) -> None:
        """Return what was booked and not used (or, negative, take what was used on top)."""
        level = self.level + amount
        self.level = level if level < self.burst else self.burst
        self.taken -= amount

    def lower(self, level: float) -> None:
        """Believe that no more than this is left."""
        self.level = min(self.level, level)

    def pause(self, seconds: float, now: float) -> None:
        """Let nothing go out for `seconds`, and then go on at the rate."""
        self.refill(now)
        self.lower(-seconds * self.per_second)

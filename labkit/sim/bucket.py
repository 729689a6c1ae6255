"""A token bucket that refills continuously: what a rate limit of the simulated API is made of."""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """A token bucket that refills continuously; `level` may be negative when it is in debt."""

    __slots__ = ("_at", "capacity", "level", "rate")

    def __init__(self, per_minute: int, now: float) -> None:
        self.capacity = per_minute
        self.rate = per_minute / 60.0
        self.level = float(per_minute)
        self._at = now

    def refill(self, now: float) -> None:
        """Bring the level up to date."""
        if now > self._at:
            self.level = min(float(self.capacity), self.level + (now - self._at) * self.rate)
            self._at = now

    def wait_for(self, amount: float) -> float:
        """Return the seconds until `amount` is there, 0 if it is."""
        return max(0.0, (amount - self.level) / self.rate)

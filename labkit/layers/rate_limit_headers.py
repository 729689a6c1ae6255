"""What the rate-limit headers of an answer teach a throttle: the limits, and what is left.

The figures are a little old when they arrive, and tokens left are rounded to thousands
(claude-api.md 2.3).  So they are read in our favour: a figure lowers a level only where what is
left is less in any case, after what was refilled and taken in the meantime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from labkit.layers.quota import Quota

__all__ = ["Reading"]

NAME = "anthropic-ratelimit-{}-{}"
ROUNDING = {"requests": 0.0, "input-tokens": 500.0, "output-tokens": 500.0}
"""By how much a figure may be too low: half of the thousand that tokens are rounded to."""


@dataclass(slots=True)
class Reading:
    """A quota as it stood when a request was sent whose answer will tell more.

    `kind` is the limit's name in the headers, `taken` the quota's then, `sent_at` in seconds.
    """

    quota: Quota
    kind: str
    sent_at: float
    taken: float

    def limit(self, headers: Mapping[str, str]) -> float | None:
        """Return the limit the server states, None if it states none."""
        return _count(headers, self.kind, "limit") or None

    def lower(self, headers: Mapping[str, str], now: float) -> None:
        """Lower the quota where the server says that less is left than we thought."""
        left = _count(headers, self.kind, "remaining")
        if left is None:
            return
        quota = self.quota
        quota.refill(now)
        refilled = (now - self.sent_at) * quota.per_second
        since = max(0.0, refilled - max(0.0, quota.taken - self.taken))
        quota.lower(left + ROUNDING[self.kind] + since)


def _count(headers: Mapping[str, str], kind: str, what: str) -> int | None:
    text = headers.get(NAME.format(kind, what), "")
    return int(text) if text.isdecimal() else None

"""The twelve rate-limit headers of an answer, spelt out only when somebody reads them.

Token figures are rounded to thousands, and "tokens" is input plus output, as in every real
recording (WIRE-FORMAT.md 4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from math import ceil

from labkit.sim.bucket import Bucket

__all__ = ["LimitHeaders"]


class LimitHeaders(Mapping[str, str]):
    """How the buckets of requests, input and output stand at `at` (seconds since 1970)."""

    def __init__(self, requests: Bucket, taken: Bucket, given: Bucket, at: float) -> None:
        self._buckets = (requests, taken, given)
        self._levels = (requests.level, taken.level, given.level)
        self._at = at

    def __getitem__(self, name: str) -> str:
        return self._spelt[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._spelt)

    def __len__(self) -> int:
        return len(self._spelt)

    @cached_property
    def _spelt(self) -> Mapping[str, str]:
        (requests, taken, given), (calls, in_level, out_level) = self._buckets, self._levels
        left_in, left_out = _thousands(in_level), _thousands(out_level)
        full_in, full_out = self._full(taken, in_level), self._full(given, out_level)
        return {
            "anthropic-ratelimit-requests-limit": str(requests.capacity),
            "anthropic-ratelimit-requests-remaining": str(int(max(0.0, calls))),
            "anthropic-ratelimit-requests-reset": self._full(requests, calls),
            "anthropic-ratelimit-input-tokens-limit": str(taken.capacity),
            "anthropic-ratelimit-input-tokens-remaining": str(left_in),
            "anthropic-ratelimit-input-tokens-reset": full_in,
            "anthropic-ratelimit-output-tokens-limit": str(given.capacity),
            "anthropic-ratelimit-output-tokens-remaining": str(left_out),
            "anthropic-ratelimit-output-tokens-reset": full_out,
            "anthropic-ratelimit-tokens-limit": str(taken.capacity + given.capacity),
            "anthropic-ratelimit-tokens-remaining": str(left_in + left_out),
            "anthropic-ratelimit-tokens-reset": max(full_in, full_out),
        }

    def _full(self, bucket: Bucket, level: float) -> str:
        at = self._at + max(0.0, (bucket.capacity - level) / bucket.rate)
        return _stamp(ceil(at))


def _thousands(level: float) -> int:
    return round(max(0.0, level) / 1000) * 1000


@lru_cache(maxsize=8)
def _stamp(second: int) -> str:
    at = datetime.fromtimestamp(second, UTC)
    return f"{at.isoformat()[:19]}Z"  # strftime takes ten times as long

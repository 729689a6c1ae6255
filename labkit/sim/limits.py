"""Rate limits: a continuous token bucket each for requests, input and output tokens.

Rules and figures are those of claude-api.md 2.  What the public rules leave open is decided
here: a bucket holds one minute's allowance; input is debited when a request is admitted, by
what the prompt cache does not cover; output when the answer has been produced, so that the
output bucket may run into debt and then refuses newcomers until it is paid off.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cache
from math import ceil

from labkit.sim.bucket import Bucket
from labkit.sim.limit_headers import LimitHeaders

__all__ = ["TIERS", "Bucket", "Limits", "RateLimiter", "Refusal", "limit_class", "tier_limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one class of models may do in a minute."""

    requests: int
    input_tokens: int
    output_tokens: int


FABLE = {"start": Limits(1_000, 500_000, 100_000), "build": Limits(2_000, 1_500_000, 300_000)}
FABLE["scale"] = Limits(4_000, 4_000_000, 800_000)
OTHERS = {"start": Limits(1_000, 2_000_000, 400_000), "build": Limits(5_000, 5_000_000, 1_000_000)}
OTHERS["scale"] = Limits(10_000, 10_000_000, 2_000_000)
TIERS = ("start", "build", "scale")
SHARED = {
    "fable-5": ("claude-fable-5",),
    "mythos-5": ("claude-mythos-5",),
    "opus-4": ("claude-opus-4-5", "claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8"),
    "sonnet-4": ("claude-sonnet-4-5", "claude-sonnet-4-6"),
}
"""Classes with one bucket for several models; every other model has its own."""


@cache
def limit_class(model_id: str) -> str:
    """Return the class whose buckets a model draws on (claude-api.md 2.1)."""
    for name, prefixes in SHARED.items():
        if model_id.startswith(prefixes):
            return name
    return model_id


def tier_limits(model_class: str, tier: str) -> Limits:
    """Return the standard limits of a class in a tier (claude-api.md 2.2)."""
    table = FABLE if model_class in ("fable-5", "mythos-5") else OTHERS
    return table[tier]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is over a limit; `retry_after_s` is None when waiting cannot help."""

    kind: str
    limit: int
    retry_after_s: int | None
    code: str | None = None


class RateLimiter:
    """The buckets of one class of models."""

    def __init__(self, limits: Limits, now: float = 0.0) -> None:
        self.limits = limits
        self.requests = Bucket(limits.requests, now)
        self.input = Bucket(limits.input_tokens, now)
        self.output = Bucket(limits.output_tokens, now)
        self._due: list[tuple[float, int]] = []

    def advance(self, now: float) -> None:
        """Refill the buckets, and debit the answers that have been produced by now."""
        while self._due and self._due[0][0] <= now:
            at, tokens = heapq.heappop(self._due)
            self.output.refill(at)
            self.output.level -= tokens
        for bucket in (self.requests, self.input, self.output):
            bucket.refill(now)

    def beyond(self, input_tokens: int) -> Refusal | None:
        """Return the refusal of a request that alone is more than a minute allows."""
        if input_tokens <= self.input.capacity:
            return None
        return Refusal("input tokens", self.input.capacity, None)

    def admit(self, input_tokens: int, now: float) -> Refusal | None:
        """Debit a request that arrives now, or return why it is refused (and debit nothing)."""
        self.advance(now)
        never = self.beyond(input_tokens)
        if never is not None:
            return never
        for kind, bucket, amount in (
            ("requests", self.requests, 1.0),
            ("input tokens", self.input, float(input_tokens)),
            ("output tokens", self.output, 1.0),
        ):
            if bucket.level < amount:
                return Refusal(kind, bucket.capacity, max(1, ceil(bucket.wait_for(amount))))
        self.requests.level -= 1
        self.input.level -= input_tokens
        return None

    def produce(self, output_tokens: int, at: float) -> None:
        """Debit an answer's tokens at the time when it has been produced."""
        heapq.heappush(self._due, (at, output_tokens))

    def headers(self, now: float, epoch: float) -> LimitHeaders:
        """Return the twelve headers; `epoch` is virtual time zero in seconds since 1970."""
        self.advance(now)
        return LimitHeaders(self.requests, self.input, self.output, epoch + now)

"""Fleets before an API whose rate limits a test sets itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pytest

from labkit.sim import gate
from labkit.sim.engine import Engine
from labkit.sim.fleet import Fleet, Layered
from labkit.sim.limits import Bucket, Limits
from labkit.sim.rows import Kept
from labkit.sim.traffic import Arrival

MODEL = "claude-haiku-5-5"
PLENTY = 100_000_000


@contextmanager
def limits(
    *, requests: int = PLENTY, input_tokens: int = PLENTY, output_tokens: int = PLENTY
) -> Iterator[Limits]:
    """Give every model these limits a minute."""
    small = Limits(requests, input_tokens, output_tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "tier_limits", lambda *_: small)
        yield small


def fleet(
    traffic: Iterable[Arrival], stack: Sequence[Layered], engine: Engine | None = None
) -> Kept:
    """Play traffic through layers and return the rows."""
    kept = Kept()
    Fleet(stack, engine if engine is not None else Engine(seed=1), kept).run(traffic)
    return kept


def strict(engine: Engine, per_second: int) -> Bucket:
    """Let the model's bucket of requests hold no more than a second's allowance."""
    limiter = engine.limiter(MODEL, 0.0)
    assert limiter is not None
    bucket = limiter.requests
    bucket.capacity, bucket.rate, bucket.level = per_second, float(per_second), float(per_second)
    return bucket

"""The retry-after herd: five hundred clients told to come back in the same second."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import pytest

from labkit.layers.retry import Retry
from labkit.sim.engine import Engine
from labkit.sim.traffic import Arrival
from tests.layers.small_limits import MODEL, fleet, strict

CLIENTS, PER_SECOND = 500, 50


class Herd(NamedTuple):
    """Attempts in all, the most in a tenth of a second after the first, seconds to the end."""

    attempts: int
    peak: int
    seconds: float


def herd(spread: float) -> Herd:
    """Let all ask at once and retry as told, plus a random part of `spread` seconds."""
    engine = Engine(seed=1)
    strict(engine, PER_SECOND)
    arrivals = [Arrival(0.0, MODEL, 100, 20) for _ in range(CLIENTS)]
    kept = fleet(arrivals, [Retry(100, spread=spread, seed=1)], engine)
    assert all(row.ok for row in kept.calls)
    tenths = Counter(int(row.start_s * 10) for row in kept.attempts if row.start_s > 0)
    return Herd(len(kept.attempts), max(tenths.values()), max(row.end_s for row in kept.calls))


@pytest.fixture(scope="module")
def together() -> Herd:
    """Nobody adds anything."""
    return herd(0.0)


@pytest.mark.parametrize("spread", [5.0, 10.0])
def test_jitter_on_top_of_retry_after_scatters_the_herd(together: Herd, spread: float) -> None:
    """Less than half the attempts, a tenth of the peak, for a few seconds more at the end."""
    scattered = herd(spread)
    assert scattered.attempts < together.attempts / 2
    assert scattered.peak < together.peak / 10
    assert scattered.seconds < together.seconds + spread / 2


def test_without_jitter_all_who_were_refused_come_back_as_one(together: Herd) -> None:
    """Nine in ten of all clients within a tenth of a second, again and again."""
    assert together.peak == CLIENTS - PER_SECOND
    assert together.attempts > 5 * CLIENTS

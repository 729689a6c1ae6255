"""Rates: calls a second as a function of time, and never more than the most it says."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import UserError
from labkit.sim.rates import Rate, bursts, daily, ramp, steady

HOUR = 3600.0
speeds, lengths = st.floats(0.01, 1000), st.floats(0.1, 1e5)
pairs = st.tuples(speeds, speeds).map(sorted)
rates = st.one_of(
    st.builds(steady, speeds),
    st.builds(ramp, speeds, speeds, over=lengths),
    pairs.flatmap(lambda ends: st.builds(daily, *map(st.just, ends), peak_hour=st.floats(0, 24))),
    st.builds(bursts, speeds, speeds, every=lengths, length=lengths),
)


@given(rates, st.floats(0, 1e7))
def test_a_rate_is_never_more_than_its_most_and_never_negative(rate: Rate, at: float) -> None:
    """Else thinning would lose calls without a word."""
    assert 0 <= rate.at(at) <= rate.most * (1 + 1e-9)


def test_a_ramp_moves_evenly_and_stays() -> None:
    """Up or down."""
    up, down = ramp(2, 10, over=60), ramp(10, 2, over=60)
    assert [up.at(t) for t in (0, 30, 60, 1000)] == [2, 6, 10, 10]
    assert [down.at(t) for t in (0, 30, 60, 1000)] == [10, 6, 2, 2]


def test_a_day_peaks_at_its_hour_and_comes_again() -> None:
    """Twelve hours later it is at its lowest, a day later as high again."""
    day = daily(2, 10, peak_hour=14)
    assert day.at(14 * HOUR) == pytest.approx(10)
    assert day.at(2 * HOUR) == pytest.approx(2)
    assert day.at(38 * HOUR) == pytest.approx(10)


def test_bursts_stand_at_the_start_of_every_period() -> None:
    """The peak for their length, the base for the rest."""
    rate = bursts(1, 50, every=60, length=10)
    assert [rate.at(t) for t in (0, 9.9, 10, 59, 60, 69.9, 70)] == [50, 50, 1, 1, 50, 50, 1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: steady(0),
        lambda: steady(-1),
        lambda: steady(inf),
        lambda: steady(nan),
        lambda: steady("ten"),  # type: ignore[arg-type]
        lambda: ramp(1, 2, over=0),
        lambda: ramp(-1, 2, over=9),
        lambda: ramp(0, 0, over=9),
        lambda: daily(5, 2),
        lambda: daily(-1, 2),
        lambda: bursts(1, 2, every=0, length=1),
        lambda: bursts(1, 2, every=9, length=-1),
        lambda: bursts(-1, 2, every=9, length=1),
    ],
)
def test_a_rate_that_cannot_be_is_refused(make: Callable[[], Rate]) -> None:
    """In a sentence, where it is made."""
    with pytest.raises(UserError):
        make()

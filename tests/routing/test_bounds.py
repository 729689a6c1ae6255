"""Bounds hold as often as they claim."""

from __future__ import annotations

import random
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.routing.bounds import at_least, at_most, bootstrap, is_below

counts = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
sure = st.sampled_from([0.5, 0.8, 0.95, 0.999])


@pytest.mark.parametrize(
    ("hits", "trials", "upper"),
    [(0, 10, 0.2589), (1, 10, 0.3942), (5, 10, 0.7776), (0, 100, 0.0295), (10, 10, 1.0)],
)
def test_bounds_are_those_of_the_tables(hits: int, trials: int, upper: float) -> None:
    """One-sided 95 % bounds, as printed (0 of 100: the rule of three)."""
    assert at_most(hits, trials) == pytest.approx(upper, abs=5e-5)
    assert at_least(trials - hits, trials) == pytest.approx(1 - upper, abs=5e-5)


@given(counts, sure)
def test_at_the_bound_so_few_hits_are_just_as_rare_as_the_doubt(
    counted: tuple[int, int], confidence: float
) -> None:
    """The definition, worked out term by term."""
    hits, trials = counted
    bound = at_most(hits, trials, confidence)
    assert hits / trials <= bound <= 1
    if hits < trials:
        seen = sum(
            comb(trials, k) * bound**k * (1 - bound) ** (trials - k) for k in range(hits + 1)
        )
        assert seen == pytest.approx(1 - confidence, rel=1e-6)


@given(counts, sure, st.floats(0, 1))
def test_the_quick_question_has_the_same_answer(
    counted: tuple[int, int], confidence: float, share: float
) -> None:
    """`is_below` asks whether the bound is below a share."""
    bound = at_most(*counted, confidence)
    if abs(bound - share) > 1e-9:
        assert is_below(*counted, share, confidence) is (bound < share)


def test_a_bound_holds_as_often_as_it_says() -> None:
    """Of 500 samples from a share of 3 %, at most about 5 % lie about it."""
    dice = random.Random(3)
    wrong = 0
    for _ in range(500):
        hits = sum(dice.random() < 0.03 for _ in range(200))
        wrong += at_most(hits, 200) < 0.03
    assert wrong <= 0.05 * 500 + 10


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30))
def test_an_interval_lies_within_the_figures(figures: list[float]) -> None:
    """Drawn again, a mean is never beyond what there is."""
    low, high = bootstrap(figures, rounds=50)
    assert min(figures) - 1e-9 <= low <= high <= max(figures) + 1e-9


@pytest.mark.parametrize(("hits", "trials", "confidence"), [(-1, 5, 0.9), (6, 5, 0.9), (1, 5, 1.0)])
def test_what_cannot_have_been_counted_is_refused(
    hits: int, trials: int, confidence: float
) -> None:
    """More hits than trials, or certainty."""
    with pytest.raises(ValueError, match="no sense"):
        at_most(hits, trials, confidence)
    with pytest.raises(ValueError, match="Without figures"):
        bootstrap([])

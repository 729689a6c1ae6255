"""Dice that fall the same everywhere, and fall fairly."""

from __future__ import annotations

import math
import random
from statistics import NormalDist, mean, variance

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.dice import Dice, bell_pair


def test_the_same_name_gives_the_same_draws_whatever_others_drew() -> None:
    """Each request has dice of its own."""
    alone = [Dice(7, 3).random() for _ in range(1)]
    Dice(7, 2).random()
    assert [Dice(7, 3).random()] == alone


def test_draws_are_the_same_on_every_machine() -> None:
    """These figures are written down; a change of them changes every recording."""
    dice = Dice(7, 3, "price")
    assert [round(dice.random(), 12) for _ in range(9)] == [
        0.953639268673,
        0.404729164409,
        0.105410143374,
        0.278323611524,
        0.024398316887,
        0.944118370644,
        0.750208442346,
        0.934788127981,
        0.610519078511,
    ]


@pytest.mark.parametrize(
    "other", [Dice(8, 3, "price"), Dice(7, 4, "price"), Dice(7, 3, "length"), Dice(7, 3)]
)
def test_seed_number_and_purpose_all_matter(other: Dice) -> None:
    """Change one, and the draws are others."""
    assert other.random() != Dice(7, 3, "price").random()


@given(st.integers(), st.integers(0, 10**6), st.integers(-50, 50), st.integers(0, 100))
def test_whole_numbers_keep_within_their_bounds(
    seed: int, number: int, low: int, more: int
) -> None:
    """Both ends included."""
    dice = Dice(seed, number)
    drawn = [dice.whole(low, low + more) for _ in range(20)]
    assert all(low <= one <= low + more for one in drawn)


@given(st.integers(), st.lists(st.integers(), unique=True, max_size=30), st.integers(0, 40))
def test_some_are_different_things_of_those_there_are(
    seed: int, things: list[int], count: int
) -> None:
    """Never one twice, never more than there are."""
    drawn = Dice(seed, 1).some(things, count)
    assert len(drawn) == len(set(drawn)) == min(count, len(things))
    assert set(drawn) <= set(things)


def test_draws_are_uniform() -> None:
    """Mean, variance and both ends of ten thousand of them."""
    dice = Dice(1, 1)
    drawn = [dice.random() for _ in range(10_000)]
    assert all(0 <= one < 1 for one in drawn)
    assert mean(drawn) == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / 10_000))
    assert variance(drawn) == pytest.approx(1 / 12, rel=0.05)


def test_a_lognormal_factor_has_median_1_and_its_sigma() -> None:
    """In the logarithm."""
    dice = Dice(1, 2)
    logs = [math.log(dice.lognormal(0.5)) for _ in range(10_000)]
    assert mean(logs) == pytest.approx(0, abs=4 * 0.5 / 100)
    assert variance(logs) == pytest.approx(0.25, rel=0.06)


def test_ids_say_that_they_are_simulated() -> None:
    """With as many characters as the API's own."""
    name = Dice(1, 2).identifier("msg")
    assert name.startswith("msg_sim")
    assert len(name) == len("msg_") + 24


def test_pairs_are_normal_and_independent() -> None:
    """Mean, variance, correlation, and the share beyond two sigmas."""
    uniform = random.Random(3).random
    pairs = [bell_pair(uniform) for _ in range(20_000)]
    for drawn in zip(*pairs, strict=True):
        assert mean(drawn) == pytest.approx(0, abs=4 / math.sqrt(20_000))
        assert variance(drawn) == pytest.approx(1, rel=0.05)
        beyond = sum(abs(one) > 2 for one in drawn) / 20_000
        assert beyond == pytest.approx(2 * NormalDist().cdf(-2), rel=0.15)
    assert mean(a * b for a, b in pairs) == pytest.approx(0, abs=4 / math.sqrt(20_000))


@given(st.integers())
def test_pairs_are_those_of_the_standard_library(seed: int) -> None:
    """An independent judge: `random.gauss` draws by the same method."""
    ours, theirs = random.Random(seed), random.Random(seed)
    expected = (theirs.gauss(0, 1), theirs.gauss(0, 1))
    assert bell_pair(ours.random) == pytest.approx(expected, abs=1e-12)

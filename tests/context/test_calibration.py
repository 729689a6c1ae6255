"""Calibration: the factor approaches the truth, and the error says how far off it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.context.calibration import FIRST_ERROR, LEAST, MOST, Calibration
from labkit.errors import UserError

SIZES = st.lists(st.integers(50, 50_000), min_size=1, max_size=30)


def test_before_any_reply_an_estimate_stays_and_its_error_is_a_guess() -> None:
    """30 %, the usual difference between tokenizers."""
    fresh = Calibration()
    assert (fresh.tokens(1000), fresh.error, fresh.replies) == (1000, FIRST_ERROR, 0)


@given(SIZES, st.floats(0.5, 2.0))
def test_one_reply_is_enough_where_the_ratio_is_constant(sizes: list[int], ratio: float) -> None:
    """From then on every prompt is foretold to the token, but for rounding."""
    learning = Calibration()
    for size in sizes:
        learning.learn(size, max(1, round(ratio * size)))
    assert learning.tokens(10_000) == pytest.approx(10_000 * ratio, rel=0.02)


def test_the_error_is_that_of_the_estimates_that_were_used() -> None:
    """The first was off by half, the later ones were right, and the old miss fades."""
    learning = Calibration()
    learning.learn(1000, 2000)
    assert learning.error == pytest.approx(0.5)
    for _ in range(40):
        learning.learn(1000, 2000)
    assert learning.error < 0.01


def test_the_latest_replies_count_most() -> None:
    """A conversation that turns from prose to code is followed."""
    learning = Calibration()
    for _ in range(50):
        learning.learn(1000, 1000)
    for _ in range(20):
        learning.learn(1000, 1500)
    assert learning.factor > 1.4


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=20))
def test_no_reply_makes_it_absurd(replies: list[tuple[int, int]]) -> None:
    """The factor stays within bounds, the error is a number above zero or zero."""
    learning = Calibration()
    for estimated, reported in replies:
        learning.learn(estimated, reported)
        assert LEAST <= learning.factor <= MOST
        assert learning.error >= 0
    assert learning.replies == len(replies)


@pytest.mark.parametrize(("estimated", "reported"), [(0, 5), (5, 0), (-1, 5), (5, -1)])
def test_a_prompt_without_tokens_teaches_nothing(estimated: int, reported: int) -> None:
    """It is said in a sentence, and nothing is learnt."""
    learning = Calibration()
    with pytest.raises(UserError, match="A prompt has tokens"):
        learning.learn(estimated, reported)
    assert learning.replies == 0

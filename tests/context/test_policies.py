"""The rules themselves: when they ask for a cut, down to what, and at which price."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.context import (
    Blocks,
    Goal,
    Limit,
    Policy,
    PriceAware,
    Size,
    SlidingWindow,
    TokenBudget,
    forecast,
)
from labkit.errors import UserError

OPUS = "claude-opus-5-5"


def size(tokens: int, turns: int = 5, growth: float = 500, new: int = 500) -> Size:
    """Return the size of a prompt."""
    return Size(tokens, turns, growth, new)


def test_each_policy_cuts_at_its_mark_and_not_before() -> None:
    """Tokens or turns, down to where it says."""
    assert SlidingWindow(5).goal(size(99_999)) is None
    assert SlidingWindow(4).goal(size(1)) == Goal(turns=4)
    assert TokenBudget(100).goal(size(100)) is None
    assert TokenBudget(100).goal(size(101)) == Goal(tokens=100)
    assert Blocks(100, 50).goal(size(100)) is None
    assert Blocks(100, 50).goal(size(101)) == Goal(tokens=50, or_tokens=100)
    assert Limit(100).goal(size(101)) is None
    assert Policy().goal(size(101)) is None


def test_budgets_are_what_a_prompt_may_have() -> None:
    """A window of turns has none."""
    policies = (TokenBudget(7), Blocks(7, 3), Limit(7), PriceAware(Policy(), 7))
    assert [policy.budget for policy in policies] == [7] * 4
    assert SlidingWindow(3).budget is None


def test_above_its_limit_a_policy_that_knows_prices_cuts_in_any_case() -> None:
    """To its own mark, or at least to the limit."""
    assert PriceAware(SlidingWindow(9), 100).goal(size(101)) == Goal(tokens=100, or_tokens=100)
    within = PriceAware(Blocks(60, 30), 100)
    assert within.goal(size(70)) == Goal(tokens=30, or_tokens=60)
    assert within.goal(size(101)) == Goal(tokens=30, or_tokens=100)


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (SlidingWindow, (0,)),
        (TokenBudget, (0,)),
        (Limit, (0,)),
        (Blocks, (100, 100)),
        (Blocks, (100, 0)),
        (Blocks, (100, 200)),
        (PriceAware, (Policy(), 0)),
        (PriceAware, (Policy(), 9, 0)),
    ],
)
def test_settings_without_sense_are_refused(kind: type, numbers: tuple[object, ...]) -> None:
    """In a sentence."""
    with pytest.raises(UserError, match=r"\.$"):
        kind(*numbers)


def test_a_small_cut_of_a_cached_prompt_does_not_pay_and_a_large_one_does() -> None:
    """All that is left has to be written again."""
    before = size(20_000)
    small = forecast(OPUS, before, size(19_500, new=19_500))
    large = forecast(OPUS, before, size(2_000, new=2_000))
    assert small is not None
    assert large is not None
    assert not small.pays
    assert large.pays
    assert small.read_share_after < small.read_share_before
    assert not PriceAware(TokenBudget(1), 99_999).wants(small)
    assert PriceAware(TokenBudget(1), 99_999).wants(large)


def test_the_longer_one_looks_ahead_the_sooner_a_cut_pays() -> None:
    """What it costs is paid once, what it saves is saved in every request."""
    sizes = size(20_000), size(10_000, new=10_000)
    found = [forecast(OPUS, *sizes, requests=requests) for requests in (1, 10, 100)]
    assert [each.pays for each in found if each] == [False, False, True]


@given(st.integers(1000, 90_000), st.integers(1000, 90_000), st.integers(1, 50))
def test_without_a_prompt_cache_the_shorter_prompt_is_always_cheaper(
    one: int, other: int, requests: int
) -> None:
    """Then trimming pays at once, as one would think."""
    long, short = max(one, other) + 1, min(one, other)
    found = forecast(OPUS, size(long), size(short), requests=requests, cached=False)
    assert found is not None
    assert found.pays
    assert found.read_share_before == found.read_share_after == 0


def test_a_forecast_is_exact_arithmetic() -> None:
    """Two prompts of Opus 5.5 by hand: 4 dollars a million, 5 written, 0.20 read."""
    found = forecast(OPUS, size(10_000, growth=0), size(1_000, growth=0, new=1_000), requests=2)
    assert found is not None
    assert found.cost_before == Decimal("0.0025") + 2 * Decimal("0.002") - Decimal("0.0001")
    assert found.cost_after == Decimal("0.005") + Decimal("0.0002")
    assert str(found) == (
        "the next 2 prompts cost $0.0064 uncut (98% read from the prompt cache) "
        "and $0.0052 cut (50%)"
    )


def test_a_prompt_too_short_for_the_prompt_cache_is_paid_in_full() -> None:
    """Below 512 tokens on Opus 5.5."""
    found = forecast(OPUS, size(1000, new=10), size(500, growth=0, new=500), requests=1)
    assert found is not None
    assert found.cost_after == Decimal("0.002")


@pytest.mark.parametrize("model", ["claude-mythos-preview", "a model of tomorrow"])
def test_without_a_price_there_is_no_forecast_and_the_policy_decides(model: str) -> None:
    """Unknown is never zero."""
    assert forecast(model, size(9), size(5)) is None
    assert PriceAware(TokenBudget(1), 99).wants(None)


def test_advice_comes_with_how_many_turns_are_left() -> None:
    """By how fast the conversation grows."""
    assert Limit(10_000).advice(size(7_999)) == ""
    assert "fills 90% of its limit; about 2 more turns fit" in Limit(10_000).advice(size(9_000))
    assert "fills 95% of its limit; about 1 more turn fits." in Limit(10_000).advice(size(9_500))
    assert TokenBudget(10).advice(size(9)) == ""

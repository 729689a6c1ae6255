"""Break-even reads of both lifetimes, at each model's rates."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import models
from labkit.prompt_caching.break_even import Lifetime, break_even_reads, prompt_cost

PRICED = [row.id for row in models() if row.price]
lifetimes = st.sampled_from(["5m", "1h"])


@pytest.mark.parametrize("model", PRICED)
def test_five_minutes_pay_after_one_read_and_an_hour_after_two(model: str) -> None:
    """At any of the rates on the list (resilience.md 3.8)."""
    assert (break_even_reads(model), break_even_reads(model, "1h")) == (1, 2)


@given(st.sampled_from(PRICED), lifetimes, st.integers(1, 10**6))
def test_break_even_is_where_the_sums_cross(model: str, lifetime: Lifetime, tokens: int) -> None:
    """At so many reads caching is no dearer, at one fewer it is."""
    reads = break_even_reads(model, lifetime, prompt_tokens=tokens)
    assert prompt_cost(model, tokens, reads, lifetime) <= prompt_cost(model, tokens, reads, None)
    fewer = reads - 1
    assert prompt_cost(model, tokens, fewer, lifetime) > prompt_cost(model, tokens, fewer, None)


def test_sums_worked_out_by_hand() -> None:
    """10,000 tokens of Opus 5.5, a million at 5 + 9 x 0.20, 8 + 9 x 0.20, or 10 x 4 dollars."""
    opus = "claude-opus-5-5"
    assert prompt_cost(opus, 10_000, 9) == Decimal("0.068")
    assert prompt_cost(opus, 10_000, 9, "1h") == Decimal("0.098")
    assert prompt_cost(opus, 10_000, 9, None) == Decimal("0.4")

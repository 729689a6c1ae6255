"""Prices per task: whole numbers of dollars for real work, and counts that change with models."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import UserError
from labkit.pricing import cost
from labkit.routing.task_price import recounted, task_price
from labkit.usage import SubUsage, Usage

counts = st.integers(0, 10**6)
usages = st.builds(
    Usage,
    input_tokens=counts,
    output_tokens=counts,
    cache_read_input_tokens=counts,
    cache_creation_5m=counts,
    cache_creation_1h=counts,
)


def test_a_cheaper_token_can_be_a_dearer_task() -> None:
    """1,000 x 3 + 500 x 15 on the old tokenizer, then 1,360 x 2 + 1,080 x 10, with thinking."""
    old, new = (
        Usage(input_tokens=1000, output_tokens=500),
        Usage(input_tokens=1360, output_tokens=680 + 400),
    )
    before = task_price("claude-sonnet-4-6", [old])
    after = task_price("claude-sonnet-5-5", [new])
    assert before.per_task == Decimal("0.0105")
    assert after.per_task == Decimal("0.01352")


def test_wrong_answers_are_paid_too() -> None:
    """Two of four solved: each costs twice as much; none solved has no price."""
    usage = Usage(input_tokens=1000, output_tokens=100)
    price = task_price("claude-haiku-4-5", [usage] * 4, [True, False, True, False])
    assert price.per_solved == 2 * price.per_task == Decimal("0.003")
    assert task_price("claude-haiku-4-5", [usage], [False]).per_solved is None


@given(usages)
def test_the_same_generation_counts_the_same(usage: Usage) -> None:
    """Nothing is estimated there."""
    assert recounted(usage, "claude-opus-5", "claude-haiku-5-5") == (usage, False)


@given(usages)
def test_a_newer_tokenizer_takes_about_a_third_more(usage: Usage) -> None:
    """By the rules of thumb, 3.4 to 2.5; there and back never loses a token."""
    more, estimated = recounted(usage, "claude-haiku-4-5", "claude-haiku-5-5")
    assert estimated
    for name in ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_1h"):
        exact = getattr(usage, name) * 3.4 / 2.5
        assert exact - 1e-6 <= getattr(more, name) < exact + 1.000001
    back, _ = recounted(more, "claude-haiku-5-5", "claude-haiku-4-5")
    assert cost("claude-haiku-4-5", back) >= cost("claude-haiku-4-5", usage)


def test_what_is_not_known_is_said() -> None:
    """A generation nobody has established, the texts of a sub-call, no tasks at all."""
    with pytest.raises(UserError, match="tokenizer"):
        recounted(Usage(), "claude-mythos-preview", "claude-opus-5")
    with pytest.raises(UserError, match="sub-call"):
        recounted(
            Usage(extras=(SubUsage("compaction", None, Usage()),)), "claude-opus-5", "claude-opus-5"
        )
    for given_usages, solved in (([], []), ([Usage()], [True, False])):
        with pytest.raises(UserError, match="every task"):
            task_price("claude-opus-5", given_usages, solved)

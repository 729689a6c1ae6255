"""The surprise of sliding windows, worked out from prices, beside the figures first measured."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import model, role
from labkit.context import Blocks, Limit, Policy, PriceAware, SlidingWindow, TokenBudget
from labkit.context.billing import Bill, Plan, SummaryPlan, bill
from labkit.errors import ContextLimit, UnknownModel, UnknownPrice

TALK = Plan()
UNCACHED = Plan(system_breakpoint=False, end_breakpoint=False)
SLIDE, BLOCKS = TokenBudget(22_000), Blocks(high=22_000, low=14_000)
"""A window of 16,000 tokens of history beside 6,000 of the system prompt."""

# (plan, policy, summary) and what resilience.md 3.10 found for Opus 5.5 and Sonnet 4.6.  The
# length of the summary is not told there; 800 tokens, written by the same model out of its
# prompt cache, fit both figures.
MEASURED = {
    "no trim, no cache": (UNCACHED, Policy(), None, "18.07", "13.55"),
    "no trim, cached": (TALK, Policy(), None, "2.02", "2.15"),
    "slide in every turn": (TALK, SLIDE, None, "8.02", "6.16"),
    "slide, only the system prompt cached": (
        replace(TALK, end_breakpoint=False),
        SLIDE,
        None,
        "7.53",
        None,
    ),
    "block to half": (TALK, BLOCKS, None, "1.76", "1.60"),
    "block and summary": (TALK, BLOCKS, SummaryPlan(), "1.90", "1.73"),
}


def cents(amount: Decimal) -> Decimal:
    """Round to cents, halves upwards, as a person does."""
    return amount.quantize(Decimal("0.01"), rounding="ROUND_HALF_UP")


@pytest.mark.parametrize("name", MEASURED)
def test_the_figures_of_the_surprise_are_reproduced(name: str) -> None:
    """To a cent, on both models."""
    plan, policy, summary, opus, sonnet = MEASURED[name]
    for model_id, expected in [("claude-opus-5-5", opus), ("claude-sonnet-4-6", sonnet)]:
        if expected is not None:
            found = bill(model_id, plan, policy, summary)
            assert abs(found.total - Decimal(expected)) <= Decimal("0.006"), model_id


def test_sliding_breaks_the_prefix_in_88_turns_and_blocks_in_6() -> None:
    """As often as measured."""
    assert bill("claude-opus-5-5", TALK, SLIDE).breaks == 88
    assert bill("claude-opus-5-5", TALK, BLOCKS).breaks == 6


@pytest.mark.parametrize("name", ["fast", "balanced", "strong"])
def test_sliding_costs_more_than_not_trimming_and_blocks_less(name: str) -> None:
    """On every current model, by a factor."""
    slide, whole, blocks = (bill(role(name), TALK, each) for each in (SLIDE, None, BLOCKS))
    assert slide.total > 2.5 * float(whole.total)
    assert blocks.total < whole.total
    assert slide.read_share < blocks.read_share < whole.read_share


def test_the_automatic_breakpoint_alone_makes_sliding_dearer_still() -> None:
    """A changed history then takes the system prompt along: the figures had a second breakpoint."""
    alone = replace(TALK, system_breakpoint=False)
    assert cents(bill("claude-opus-5-5", alone, SLIDE).total) == Decimal("10.56")
    assert cents(bill("claude-opus-5-5", alone, BLOCKS).total) == Decimal("1.93")


@pytest.mark.parametrize("name", ["fast", "balanced", "strong"])
def test_a_policy_that_knows_prices_slides_only_when_it_pays(name: str) -> None:
    """It never costs more than leaving everything, and far less than sliding."""
    aware = bill(role(name), TALK, PriceAware(SLIDE, limit=1_000_000))
    assert 0 < aware.breaks < 10
    assert aware.total < bill(role(name), TALK).total < bill(role(name), TALK, SLIDE).total


def test_trimming_keeps_the_cost_of_a_turn_from_growing() -> None:
    """Without a prompt cache: linear instead of quadratic."""
    short, long = (replace(UNCACHED, turns=turns) for turns in (200, 400))
    untrimmed = [float(bill("claude-opus-5-5", plan).total) for plan in (short, long)]
    trimmed = [float(bill("claude-opus-5-5", plan, SLIDE).total) for plan in (short, long)]
    assert untrimmed[1] / untrimmed[0] > 3.3
    assert trimmed[1] / trimmed[0] < 2.2


def test_a_step_in_the_price_of_long_prompts_is_paid() -> None:
    """Haiku 5.5 costs five times as much above 100,000 tokens (claude-api.md 1.2)."""
    longest = model("claude-haiku-5-5").step
    assert longest is not None
    costs = bill("claude-haiku-5-5", replace(UNCACHED, turns=250)).costs
    jumps = [later / earlier for earlier, later in pairwise(costs)]
    assert max(jumps) > 4


def test_what_a_limit_refuses_is_refused_here_too() -> None:
    """In the turn that no longer fits; and what the catalogue does not know stays unknown."""
    with pytest.raises(ContextLimit, match="the limit is 22,000"):
        bill("claude-opus-5-5", TALK, Limit(22_000))
    with pytest.raises(UnknownPrice):
        bill("claude-mythos-preview", TALK)
    with pytest.raises(UnknownModel):
        bill("claude-opus-99", TALK)


PLANS = st.builds(
    Plan,
    turns=st.integers(0, 60),
    system=st.integers(0, 9000),
    user=st.integers(1, 900),
    answer=st.integers(0, 900),
    system_breakpoint=st.booleans(),
    end_breakpoint=st.booleans(),
)
POLICIES = st.one_of(
    st.just(Policy()),
    st.builds(SlidingWindow, st.integers(1, 9)),
    st.builds(TokenBudget, st.integers(20_000, 40_000)),
    st.builds(Blocks, st.integers(20_000, 40_000), st.integers(1, 19_000)),
)


@given(PLANS, POLICIES, st.none() | st.builds(SummaryPlan, st.integers(0, 900)))
def test_every_turn_has_its_cost(plan: Plan, policy: Policy, summary: SummaryPlan | None) -> None:
    """None is free, none negative, and the share read is a share."""
    found: Bill = bill("claude-sonnet-5-5", plan, policy, summary)
    assert len(found.costs) == plan.turns
    assert all(cost > 0 for cost in found.costs)
    assert 0 <= found.read_share < 1
    assert found.breaks <= plan.turns
    assert found.total == sum(found.costs, Decimal(0))

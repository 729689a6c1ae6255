"""Costs are exact, follow every published rule, and are an error where no rule is known."""

from __future__ import annotations

import decimal
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import models
from labkit.errors import UnknownModel, UnknownPrice
from labkit.pricing import cost, total
from labkit.usage import SubUsage, Usage

MILLION = 10**6
PRICED = [row.id for row in models() if row.price]
WITHOUT_STEP = [row.id for row in models() if row.price and not row.step]
COUNT = st.integers(min_value=0, max_value=10**7)


@st.composite
def usages(draw: st.DrawFn, counts: st.SearchStrategy[int] = COUNT) -> Usage:
    """Draw the usage of a plain request."""
    return Usage(
        input_tokens=draw(counts),
        output_tokens=draw(counts),
        cache_read_input_tokens=draw(counts),
        cache_creation_5m=draw(counts),
        cache_creation_1h=draw(counts),
    )


def added(one: Usage, other: Usage) -> Usage:
    """Add two plain usages up."""
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cache_read_input_tokens=one.cache_read_input_tokens + other.cache_read_input_tokens,
        cache_creation_5m=one.cache_creation_5m + other.cache_creation_5m,
        cache_creation_1h=one.cache_creation_1h + other.cache_creation_1h,
    )


EVERYTHING = Usage(
    input_tokens=1_000,
    output_tokens=200,
    cache_read_input_tokens=30_000,
    cache_creation_5m=4_000,
    cache_creation_1h=500,
)


@pytest.mark.parametrize(
    ("model", "usage", "dollars"),
    [
        # 1,000 x 1 + 200 x 5 + 30,000 x 0.10 + 4,000 x 1.25 + 500 x 2 = 11,000
        ("claude-haiku-4-5", EVERYTHING, "0.011"),
        # 1,000 x 4 + 200 x 20 + 30,000 x 0.20 + 4,000 x 5 + 500 x 8 = 38,000
        ("claude-opus-5-5", EVERYTHING, "0.038"),
        # 1,000 x 2 + 200 x 10 + 30,000 x 0.10 + 4,000 x 2.50 + 500 x 4 = 19,000
        ("claude-sonnet-5-5", EVERYTHING, "0.019"),
        # 1,000 x 8 + 200 x 40 + 30,000 x 0.20 + 4,000 x 10 + 500 x 16 = 70,000
        ("claude-fable-5-2", EVERYTHING, "0.070"),
        # 1,000 x 0.10 + 200 x 0.50 + 30,000 x 0.01 + 4,000 x 0.125 + 500 x 0.20 = 1,100
        ("claude-haiku-5-5", EVERYTHING, "0.0011"),
        # One cached token is a hundredth of a millionth of a dollar.
        ("claude-haiku-5-5", Usage(cache_read_input_tokens=1), "0.00000001"),
        # Half of that, and a tenth on top.
        (
            "claude-haiku-5-5",
            Usage(cache_read_input_tokens=1, service_tier="batch", inference_geo="us"),
            "0.0000000055",
        ),
        ("claude-haiku-5-5", Usage(input_tokens=100_000, output_tokens=1_000), "0.0105"),
        # One token more moves every token of the request to the higher price, output included.
        ("claude-haiku-5-5", Usage(input_tokens=100_001, output_tokens=1_000), "0.0525005"),
        # The step looks at the whole prompt: 1 x 0.50 + 100,000 x 0.05 = 5,000.5
        (
            "claude-haiku-5-5",
            Usage(input_tokens=1, cache_read_input_tokens=100_000),
            "0.0050005",
        ),
        # The step holds for writes of both lifetimes: 60,000 x 0.625 + 60,000 x 1 = 97,500
        ("claude-haiku-5-5", Usage(cache_creation_5m=60_000, cache_creation_1h=60_000), "0.0975"),
        # Fast mode: 1,000 x 8 + 200 x 40 + 30,000 x 0.40 + 4,000 x 10 + 500 x 16 = 76,000
        ("claude-opus-5-5", replace(EVERYTHING, speed="fast"), "0.076"),
        # Fast mode and US only: 1,000 x 10 x 1.1 + 100 x 50 x 1.1
        (
            "claude-opus-4-8",
            Usage(input_tokens=1_000, output_tokens=100, speed="fast", inference_geo="us"),
            "0.0165",
        ),
        ("claude-opus-5-5", replace(EVERYTHING, service_tier="batch"), "0.019"),
        # 1,000 x 3 + 200 x 15 + 30,000 x 0.30 + 4,000 x 3.75 + 500 x 6 = 33,000, and a tenth
        ("claude-sonnet-4-6", replace(EVERYTHING, inference_geo="global"), "0.033"),
        ("claude-sonnet-4-6", replace(EVERYTHING, inference_geo="us"), "0.0363"),
        ("claude-haiku-4-5", replace(EVERYTHING, inference_geo="not_available"), "0.011"),
        # A search costs a cent, in a batch and in the US too.
        ("claude-opus-5", Usage(web_search_requests=7), "0.07"),
        (
            "claude-opus-5",
            Usage(web_search_requests=7, service_tier="batch", inference_geo="us"),
            "0.07",
        ),
        ("claude-opus-5", Usage(web_fetch_requests=7), "0"),
        ("claude-3-haiku-20240307", Usage(cache_creation_5m=10, cache_creation_1h=10), "0.000008"),
    ],
)
def test_costs_worked_out_by_hand(model: str, usage: Usage, dollars: str) -> None:
    """The sum on paper is the sum in the code, to the last digit."""
    assert cost(model, usage) == Decimal(dollars)


def test_a_dated_id_costs_what_its_alias_costs() -> None:
    """Replies name the snapshot, requests the alias."""
    dated = cost("claude-haiku-4-5-20251001", EVERYTHING)
    assert dated == cost("claude-haiku-4-5", EVERYTHING)


def test_a_compaction_is_added_at_the_same_models_price() -> None:
    """The top-level numbers leave it out: 172 x 3 + 5 x 15 + 100 x 3 + 71 x 15 + 55,096 x 3.75."""
    compaction = Usage(input_tokens=100, output_tokens=71, cache_creation_5m=55_096)
    usage = Usage(
        input_tokens=172, output_tokens=5, extras=(SubUsage("compaction", None, compaction),)
    )
    assert cost("claude-sonnet-4-6", usage) == Decimal("0.208566")


def test_an_advisor_is_added_at_its_own_models_price() -> None:
    """Two models, two prices: 2,411 x 2 + 145 x 10 + 2,543 x 5 + 18 x 25."""
    advice = Usage(input_tokens=2_543, output_tokens=18)
    usage = Usage(
        input_tokens=2_411,
        output_tokens=145,
        extras=(SubUsage("advisor_message", "claude-opus-4-8", advice),),
    )
    assert cost("claude-sonnet-5", usage) == Decimal("0.019437")


def test_a_sub_call_has_its_own_prompt_length() -> None:
    """A long compaction does not lift the request it precedes over the step, nor the reverse."""
    long = Usage(input_tokens=200_000)
    usage = Usage(input_tokens=1_000, extras=(SubUsage("compaction", None, long),))
    assert cost("claude-haiku-5-5", usage) == Decimal("0.0001") + Decimal("0.1")


def test_an_advisor_without_a_price_leaves_the_whole_call_without_one() -> None:
    """A part nobody can price is not dropped from the sum."""
    usage = Usage(
        input_tokens=1, extras=(SubUsage("advisor_message", "claude-mythos-preview", Usage()),)
    )
    with pytest.raises(UnknownPrice, match="claude-mythos-preview"):
        cost("claude-opus-5", usage)


@pytest.mark.parametrize(
    ("model", "usage", "reason"),
    [
        ("claude-mythos-preview", Usage(), "claude-mythos-preview"),
        ("claude-fable-5-2", Usage(speed="fast"), "no fast-mode price for claude-fable-5-2"),
        ("claude-opus-5", Usage(speed="turbo"), "turbo"),
        ("claude-opus-5", Usage(speed="fast", service_tier="batch"), "no fast mode"),
        ("claude-opus-5", Usage(service_tier="priority"), "priority"),
        ("claude-opus-5", Usage(inference_geo="eu"), "'eu'"),
        ("claude-haiku-4-5", Usage(inference_geo="us"), "'us'"),
        ("claude-opus-5", Usage(unpriceable="how this is billed"), "how this is billed"),
    ],
)
def test_what_has_no_established_price_says_why(model: str, usage: Usage, reason: str) -> None:
    """An unknown price is an error with a reason, also when no token was used."""
    with pytest.raises(UnknownPrice, match=reason):
        cost(model, usage)


def test_a_region_placeholder_does_not_matter_where_there_is_no_choice_of_region() -> None:
    """A recorder may have replaced the region's name; an older model costs the same anyway."""
    usage = replace(EVERYTHING, inference_geo="<GOOGLE_CLOUD_LOCATION>")
    assert cost("claude-haiku-4-5", usage) == cost("claude-haiku-4-5", EVERYTHING)
    with pytest.raises(UnknownPrice):
        cost("claude-opus-5-5", usage)


def test_an_unknown_model_is_an_error() -> None:
    """A model nobody knows costs neither zero nor what another one costs."""
    with pytest.raises(UnknownModel, match="claude-opus-9"):
        cost("claude-opus-9", Usage())


@given(st.sampled_from(PRICED), usages())
def test_costs_are_never_negative_and_only_nothing_is_free(model: str, usage: Usage) -> None:
    """Every token costs something."""
    used = usage.prompt_tokens + usage.output_tokens
    assert (cost(model, usage) > 0) is (used > 0)


@given(st.sampled_from(WITHOUT_STEP), usages(), usages())
def test_costs_add_up_where_there_is_no_step(model: str, one: Usage, other: Usage) -> None:
    """Two requests cost exactly the sum, to the last digit."""
    assert cost(model, added(one, other)) == total([cost(model, one), cost(model, other)])


@given(usages(st.integers(0, 12_000)), usages(st.integers(0, 12_000)))
def test_costs_add_up_below_the_step(one: Usage, other: Usage) -> None:
    """Up to 100,000 prompt tokens the stepped model is linear too."""
    both = added(one, other)
    together = cost("claude-haiku-5-5", both)
    assert both.prompt_tokens <= 100_000
    assert together == cost("claude-haiku-5-5", one) + cost("claude-haiku-5-5", other)


@given(st.sampled_from(PRICED), usages(), usages())
def test_splitting_a_request_never_costs_more(model: str, one: Usage, other: Usage) -> None:
    """Two shorter prompts are never dearer than one long prompt of the same tokens."""
    assert cost(model, one) + cost(model, other) <= cost(model, added(one, other))


@given(st.sampled_from(PRICED), usages(), usages())
def test_more_tokens_never_cost_less(model: str, usage: Usage, more: Usage) -> None:
    """Costs rise with every count, over the step too."""
    assert cost(model, usage) <= cost(model, added(usage, more))


@given(st.sampled_from(PRICED), usages())
def test_a_batch_is_half(model: str, usage: Usage) -> None:
    """Every kind of token is halved, prompt-cache traffic included."""
    batch = replace(usage, service_tier="batch")
    assert cost(model, batch) * 2 == cost(model, usage)


@given(st.sampled_from(PRICED), usages())
def test_a_cost_is_the_same_sum_in_whole_numbers(model: str, usage: Usage) -> None:
    """Nothing is rounded: integers of a fine enough unit give the same."""
    row = next(row for row in models() if row.id == model)
    price = row.price_for(usage.prompt_tokens)
    fine = 10**12
    expected = (
        usage.input_tokens * int(price.input * fine)
        + usage.output_tokens * int(price.output * fine)
        + usage.cache_read_input_tokens * int(price.cache_read * fine)
        + usage.cache_creation_5m * int(price.cache_write_5m * fine)
        + usage.cache_creation_1h * int(price.cache_write_1h * fine)
    )
    assert cost(model, usage) * fine * MILLION == expected


def test_the_callers_decimal_context_cannot_round_a_cost() -> None:
    """A program that works with three digits still gets all of them."""
    usage = Usage(input_tokens=123_456_789)
    with decimal.localcontext(decimal.Context(prec=3)):
        assert str(cost("claude-haiku-4-5", usage)) == "123.45678900"
        assert str(total([Decimal("1.23456"), Decimal("1.00001")])) == "2.23457"


def test_no_cost_is_a_float() -> None:
    """Money stays a decimal from end to end."""
    assert type(cost("claude-opus-5", Usage())) is Decimal
    assert type(total([])) is Decimal

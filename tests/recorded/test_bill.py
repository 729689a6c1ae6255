"""A bill explained adds up to the bill, and its levers to what prices say."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from labkit.pricing import total
from labkit.recorded.bill import explain
from labkit.recorded.bill_text import explained_text
from labkit.recorded.call import RecordedCall
from labkit.recorded.priced import priced
from labkit.recorded.usages import usage_of

MODELS = ["claude-haiku-5-5", "claude-opus-5-5", "claude-haiku-4-5", "claude-9", None]
counts = st.integers(0, 120_000)


def recorded(
    model: str | None = "claude-opus-5-5", kind: str = "message", **usage: int
) -> RecordedCall:
    """A call as it is read from a file."""
    told = {"input_tokens": 1000, "output_tokens": 100, **usage}
    base = RecordedCall(file="a.yaml", exchange=1, kind=kind)
    return priced(base, {"model": model, "stop_reason": "end_turn", "usage": told}, None)


calls = st.lists(
    st.builds(
        recorded,
        st.sampled_from(MODELS),
        st.sampled_from(["message", "batch_result"]),
        input_tokens=counts,
        output_tokens=counts,
        cache_read_input_tokens=counts,
        cache_creation_input_tokens=counts,
    ),
    max_size=6,
)


@given(calls)
def test_every_part_adds_up_to_the_ledgers_total(found: list[RecordedCall]) -> None:
    """By part and by model, to the last digit; unknown calls are counted and in no sum."""
    bill = explain(found)
    assert bill.dollars == total(call.cost_usd for call in found if call.cost_usd is not None)
    assert bill.dollars == total(model.dollars for model in bill.models)
    assert bill.unknown == sum(call.cost_usd is None for call in found)
    for model in bill.models:
        assert total([*model.parts.values(), model.undivided]) == model.dollars
        assert model.undivided == 0
    assert explained_text(bill).startswith("By model:")


@given(calls)
def test_a_row_holds_all_that_its_price_was_made_of(found: list[RecordedCall]) -> None:
    """Put together again, the usage of a call costs what the call did."""
    from labkit.pricing import cost

    for call in found:
        usage = usage_of(call)
        if usage is not None:
            assert cost(str(call.model), usage) == call.cost_usd


def test_levers_are_worked_out_by_hand() -> None:
    """Opus 5.5: 100,000 read at 0.20 instead of 4, and 1,000 written at 5; a batch at half."""
    reading = recorded(cache_read_input_tokens=100_000)
    writing = recorded(cache_creation_input_tokens=1000)
    batch = recorded(kind="batch_result")
    caching, batches = explain([reading, writing, batch]).levers
    assert (caching.calls, caching.saved) == (2, Decimal("0.379"))
    assert (batches.calls, batches.saved) == (1, Decimal("0.003"))


def test_a_write_that_nobody_read_has_cost_money() -> None:
    """A lever can be pulled the wrong way, and the text says so."""
    bill = explain([recorded(cache_creation_input_tokens=10_000)])
    assert bill.levers[0].saved == Decimal("-0.01")
    assert "prompt caching: cost $0.01 on 1 call" in explained_text(bill)
    assert "batches: not used" in explained_text(bill)


def test_calls_with_sub_calls_are_not_taken_apart() -> None:
    """Their price is known, how it divides is not, and what a lever did is unknown."""
    compaction = {"type": "compaction", "input_tokens": 10, "output_tokens": 1}
    usage = {
        "input_tokens": 5,
        "output_tokens": 5,
        "cache_read_input_tokens": 9,
        "iterations": [compaction],
    }
    base = RecordedCall(file="a", exchange=1, kind="message")
    call = priced(base, {"model": "claude-opus-5-5", "usage": usage}, None)
    bill = explain([call])
    assert bill.models[0].undivided == bill.dollars == call.cost_usd
    assert bill.levers[0].unknown == 1
    assert "calls with sub-calls" in explained_text(bill)


def test_unknown_is_never_zero() -> None:
    """A model nobody knows is named, and no sum has it."""
    text = explained_text(explain([recorded("claude-9"), recorded()]))
    assert "1 call of unknown price, in no sum" in text
    assert "Together: $0.006; 1 call of unknown price" in text.replace("1 calls", "1 call")
    assert replace(recorded(), cost_usd=None).used_tokens

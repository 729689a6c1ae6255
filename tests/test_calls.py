"""One call as a row: what a span that is odd or incomplete becomes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import Event, ReadableSpan

from labkit.attempts import Attempt
from labkit.calls import Call, call_of, first_chunk

SENT = {"url.path": "/v1/messages"}
TOKENS = {
    "gen_ai.request.model": "claude-haiku-5-5",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 10,
}
numbers = st.integers(-(10**6), 10**12)
attributes = st.fixed_dictionaries(
    {},
    optional={
        "url.path": st.just("/v1/messages"),
        "http.request.resend_count": st.integers(0, 9),
        "http.response.status_code": st.integers(100, 599),
        "error.type": st.text(max_size=9),
        "gen_ai.request.model": st.sampled_from(["claude-haiku-5-5", "claude-opus-4-1", "x"]),
        "gen_ai.response.model": st.sampled_from(["claude-haiku-5-5", "claude-opus-5-5", ""]),
        "gen_ai.usage.input_tokens": numbers,
        "gen_ai.usage.output_tokens": numbers,
        "gen_ai.usage.cache_read.input_tokens": numbers,
        "gen_ai.usage.cache_write.input_tokens": numbers,
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens": numbers,
        "anthropic.usage.compaction.input_tokens": numbers,
        "anthropic.response.service_tier": st.sampled_from(["standard", "batch", "priority", "?"]),
        "gen_ai.response.time_to_first_chunk": st.floats(0, 9),
    },
)


def row_of(found: dict[str, Any], name: str = "anthropic.messages.create", **noted: Any) -> Call:
    """The row of a span with these attributes and, where given, a note of the request."""
    events = [Event("labkit.request", noted)] if noted else []
    return call_of(ReadableSpan(name, attributes=found, events=events), 1, 2.0, 5.0, [])


@given(attributes)
def test_any_span_becomes_a_row(found: dict[str, Any]) -> None:
    """Whatever a span lacks or says, there is a row, and its price is known or explained."""
    row = row_of(found)
    assert (row.number, row.start_s, row.latency_s) == (1, 2.0, 3.0)
    assert (row.cost_usd is not None) or row.cost_note


@pytest.mark.parametrize("missing", ["gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"])
def test_half_a_usage_has_no_price(missing: str) -> None:
    """Unknown is never zero."""
    found = {name: value for name, value in {**SENT, **TOKENS}.items() if name != missing}
    row = row_of(found)
    assert (row.cost_usd, row.cost_note) == (None, "the call reported no usage, or not all of it")


def test_counts_that_contradict_each_other_have_no_price() -> None:
    """A sum that is less than its parts says nothing."""
    found = {**SENT, **TOKENS, "gen_ai.usage.cache_read.input_tokens": 2000}
    row = row_of(found)
    assert row.cost_usd is None
    assert row.cost_note


def test_other_operations_are_entered_without_a_price() -> None:
    """A batch is a call too, but its price is not on its span."""
    row = row_of(SENT, "anthropic.messages.batches.create")
    assert (row.operation, row.cost_usd) == ("messages.batches.create", None)
    assert row.cost_note == "not a Messages call"


def test_an_unknown_speed_has_no_price() -> None:
    """What the request asked for and nobody knows the price of stays unknown."""
    row = row_of({**SENT, **TOKENS}, speed="warp")
    assert row.cost_usd is None
    assert "warp" in row.cost_note


def test_layers_are_told_in_order_and_the_request_note_is_not() -> None:
    """What layers did is one line; what only the price needs is not among it."""
    events = [
        Event("labkit.request", {"speed": "fast"}),
        Event("labkit.retry", {"attempt": 1, "wait_s": 0.123456}),
        Event("other.thing", {}),
        Event("labkit.gave_up", {}),
    ]
    span = ReadableSpan("anthropic.messages.create", attributes=SENT, events=events)
    assert call_of(span, 1, 0.0, 1.0, []).layers == "retry(attempt=1, wait_s=0.12); gave_up()"


def test_the_first_chunk_is_the_last_attempts() -> None:
    """Of several attempts the one that began last brought the words."""
    failed = Attempt(1, 0.0, 9.0, "error", "529", 3.0)
    answered = Attempt(1, 4.0, 8.0, "ok", "200", 6.0)
    assert first_chunk(1.0, [answered, failed]) == 5.0
    assert first_chunk(1.0, [failed]) == 2.0
    assert first_chunk(1.0, [], {"gen_ai.response.time_to_first_chunk": 0.5}) == 0.5
    assert first_chunk(1.0, [], {}) is None

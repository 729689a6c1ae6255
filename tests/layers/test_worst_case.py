"""The most a request can cost is never less than what it does cost."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import models
from labkit.errors import BudgetSpent, UnknownModel, UnknownPrice
from labkit.flow import Request
from labkit.layers.worst_case import worst_case
from labkit.pricing import Usage, cost
from labkit.sim.tokens import count_prompt

MESSAGES = [{"role": "user", "content": "hello"}]
ASK: dict[str, Any] = {"model": "claude-haiku-5-5", "max_tokens": 10, "messages": MESSAGES}
priced = st.sampled_from([row.id for row in models() if row.price and row.context_window])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


def bound(**change: Any) -> Decimal:
    """The worst case of a small request with these fields."""
    return worst_case(Request(body={**ASK, **change}))


@given(priced, texts, texts, st.integers(0, 5000), st.booleans())
def test_it_is_never_less_than_the_cost(
    name: str, system: str, words: str, most: int, us_only: bool
) -> None:
    """Whatever the answer says was used, tokens written for an hour in the US included."""
    body = {**ASK, "model": name, "max_tokens": most, "system": system}
    body["messages"] = [{"role": "user", "content": words}]
    prompt = count_prompt(body)
    geo = "us" if us_only and next(m for m in models() if m.id == name).us_only_inference else None
    usage = Usage(cache_creation_1h=prompt, output_tokens=most, inference_geo=geo)
    assert worst_case(Request(body=body)) >= cost(name, usage)


@given(st.text(max_size=50))
def test_a_longer_prompt_and_a_longer_answer_cost_more(words: str) -> None:
    """The bound grows with the bytes and with the limit."""
    longer = [{"role": "user", "content": f"hello{words} and more"}]
    assert bound(messages=longer) > bound()
    assert bound(max_tokens=11) > bound()


def test_every_byte_counts_as_a_token() -> None:
    """The figure can be worked out by hand: bytes at the price of one-hour writes in the US."""
    size = len(json.dumps(ASK).encode())
    by_hand = (size * Decimal("0.20") + 10 * Decimal("0.50")) * Decimal("1.1") / 1_000_000
    assert bound() == by_hand
    assert bound(inference_geo="global") < bound(inference_geo="us")


@pytest.mark.parametrize(
    "content",
    [
        [{"type": "image", "source": {"type": "url", "url": "https://a.b/c.png"}}],
        [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}],
        [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]}],
        [{"type": "brand_new"}],
        [5],
        5,
    ],
)
def test_what_is_no_plain_text_may_fill_the_window(content: Any) -> None:
    """A few bytes can stand for an image or for a hundred pages."""
    million = cost(
        ASK["model"], Usage(cache_creation_1h=1_000_000, output_tokens=10, inference_geo="us")
    )
    assert bound(messages=[{"role": "user", "content": content}]) == million
    assert bound(system=content) == million


def test_plain_blocks_count_their_bytes() -> None:
    """Text, thinking and tool use take at least a byte a token."""
    blocks = [
        {"type": "text", "text": "hello"},
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "tool_use", "id": "t", "name": "n", "input": {}},
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "5"}]},
    ]
    assert bound(messages=[{"role": "user", "content": blocks}]) < Decimal("0.001")


def test_tools_bring_tokens_of_their_own() -> None:
    """A tool adds a prompt nobody sees, which a few bytes do not cover."""
    tool = {"name": "n", "input_schema": {}}
    more = bound(tools=[tool]) - bound()
    assert more > 804 * Decimal("0.10") / 1_000_000


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"requests": []}, "'requests'"),
        ({"mcp_servers": []}, "'mcp_servers'"),
        ({"fallbacks": []}, "'fallbacks'"),
        ({"container": "c"}, "'container'"),
        ({"context_management": {}}, "'context_management'"),
        ({"thread": {}}, "'thread'"),
        ({"tools": [{"type": "web_search_20250305", "name": "w"}]}, "web_search_20250305"),
        ({"tools": [{"type": "code_execution_20260101"}]}, "code_execution"),
    ],
)
def test_what_has_no_bound_is_refused(change: dict[str, Any], what: str) -> None:
    """Searches and other models can cost what nobody knows beforehand."""
    with pytest.raises(BudgetSpent, match=what):
        bound(**change)


@pytest.mark.parametrize("kind", [None, "custom", "bash_20250124", "memory_20250818"])
def test_tools_the_client_runs_are_let_through(kind: str | None) -> None:
    """They cost their tokens alone."""
    assert bound(tools=[{"type": kind, "name": "n"}])


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/files", "/v1/complete"])
def test_other_endpoints_are_refused(path: str) -> None:
    """Only Messages calls and whole batches of them have a worst case."""
    with pytest.raises(BudgetSpent, match=path):
        worst_case(Request(body=ASK, path=path))


def test_a_batch_costs_half_of_all_its_rows_at_most() -> None:
    """Each row is bounded as the request it is, and what has no bound in it is refused."""

    def batch(*rows: dict[str, Any]) -> Request:
        requests = [{"custom_id": str(place), "params": row} for place, row in enumerate(rows)]
        return Request(body={"requests": requests}, path="/v1/messages/batches")

    both = worst_case(batch(ASK, {**ASK, "max_tokens": 9000}))
    assert both * 2 == bound() + bound(max_tokens=9000)
    with pytest.raises(BudgetSpent, match="web_search"):
        worst_case(batch(ASK, {**ASK, "tools": [{"type": "web_search_20250305", "name": "w"}]}))


@pytest.mark.parametrize("most", ["5", None, True, 3.5, -1, -(10**9)])
def test_a_limit_that_is_none_counts_as_the_models_own(most: Any) -> None:
    """A mistyped limit cannot make room in the budget."""
    assert bound(max_tokens=most) > bound(max_tokens=127_900)


def test_unknown_models_and_prices_are_errors() -> None:
    """What nobody knows the price of is not sent under a budget."""
    with pytest.raises(UnknownModel):
        bound(model="claude-9")
    with pytest.raises(UnknownPrice):
        bound(model="claude-mythos-preview")
    with pytest.raises(UnknownPrice):
        bound(speed="fast")

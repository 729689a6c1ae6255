"""Our prices beside those of `genai-prices`: every disagreement is listed, with its reason.

Both sides are given the same `usage` as the API sends it.  An unlisted disagreement fails, and
so does a listed one that is gone, so the list stays the truth about both tables.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from labkit.catalog import models
from labkit.errors import UnknownPrice
from labkit.pricing import Usage, cost

DAY = datetime(2026, 11, 22, tzinfo=UTC)


def usage(**fields: Any) -> dict[str, Any]:
    """Build a `usage` object with the fields the API always sends."""
    counts = {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0}
    return counts | {"cache_creation_input_tokens": 0} | fields


def writes(five_minutes: int, one_hour: int) -> dict[str, Any]:
    """Build the two fields about cache writes."""
    split = {"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": one_hour}
    return {"cache_creation_input_tokens": five_minutes + one_hour, "cache_creation": split}


SHAPES: dict[str, dict[str, Any]] = {
    "input": usage(input_tokens=1_000),
    "output": usage(output_tokens=1_000),
    "cache read": usage(cache_read_input_tokens=1_000),
    "five-minute write": usage(**writes(1_000, 0)),
    "one-hour write": usage(**writes(0, 1_000)),
    "all at once": usage(
        input_tokens=11, output_tokens=222, cache_read_input_tokens=3_333, **writes(444, 55)
    ),
    "prompt of 100,000": usage(
        input_tokens=1_000, output_tokens=10, cache_read_input_tokens=98_000, **writes(500, 500)
    ),
    "prompt of 100,001": usage(
        input_tokens=1_001, output_tokens=10, cache_read_input_tokens=98_000, **writes(500, 500)
    ),
    "prompt of 250,000": usage(input_tokens=250_000, output_tokens=10),
    "web searches": usage(
        input_tokens=10, server_tool_use={"web_search_requests": 3, "web_fetch_requests": 1}
    ),
    "batch": usage(input_tokens=1_000, output_tokens=100, service_tier="batch"),
    "US only": usage(input_tokens=1_000, output_tokens=100, inference_geo="us"),
    "fast": usage(input_tokens=1_000, output_tokens=100, speed="fast"),
    "compaction": usage(
        input_tokens=1_000,
        iterations=[usage(type="compaction", input_tokens=5_000, output_tokens=50)],
    ),
}

PRICED = tuple(model.id for model in models() if model.price)
FAST = tuple(model.id for model in models() if model.fast_price)
UNKNOWN_THERE = ("claude-mythos-5-1", "claude-mythos-5")
LINED_UP = tuple(name for name in PRICED if name not in UNKNOWN_THERE)


class Listed(NamedTuple):
    """A disagreement that is understood: for which models, over which shapes, and why."""

    models: tuple[str, ...]
    shapes: tuple[str, ...]
    reason: str


DISAGREEMENTS = (
    Listed(
        UNKNOWN_THERE,
        tuple(shape for shape in SHAPES if shape != "fast"),
        "genai-prices has no row for them; ours follows the official price page",
    ),
    Listed(LINED_UP, ("batch",), "genai-prices ignores the tier; a batch costs half"),
    Listed(
        LINED_UP,
        ("US only",),
        "genai-prices ignores the region; from Claude 4.6 on it adds a tenth, and before that "
        "the API refuses the choice, so we know no price",
    ),
    Listed(
        LINED_UP,
        ("fast",),
        "genai-prices ignores the speed; fast mode has its own price, known to us for "
        f"{', '.join(FAST)} and an error elsewhere",
    ),
    Listed(LINED_UP, ("compaction",), "genai-prices ignores sub-calls, billed on top"),
    Listed(
        ("claude-sonnet-4-5",),
        ("prompt of 250,000",),
        "genai-prices keeps the surcharge of a 1M-token beta; the window is 200,000 tokens, so "
        "only a server tool's several prompts, none of them long, add up to more",
    ),
    Listed(
        ("claude-3-opus-latest", "claude-3-haiku-20240307"),
        ("web searches",),
        "genai-prices lists no search fee for models that did not offer the tool; where searches "
        "are reported we charge them",
    ),
)


def theirs(model: str, shape: str) -> Decimal | None:
    """Price a usage with genai-prices, None where it knows no such model."""
    from genai_prices import extract_usage

    response = {"model": model, "usage": SHAPES[shape]}
    try:
        extracted = extract_usage(response, provider_id="anthropic")
        return extracted.calc_price(genai_request_timestamp=DAY).total_price
    except (LookupError, ValueError):
        return None


def ours(model: str, shape: str) -> Decimal | None:
    """Price a usage with labkit, None where it says that the price is unknown."""
    try:
        return cost(model, Usage.from_api(SHAPES[shape]))
    except UnknownPrice:
        return None


@pytest.mark.parametrize("shape", SHAPES)
def test_only_listed_prices_differ_from_those_of_genai_prices(shape: str) -> None:
    """The models priced differently are those listed with a reason, no more and no fewer."""
    listed = {name for row in DISAGREEMENTS if shape in row.shapes for name in row.models}
    actual = {name for name in PRICED if ours(name, shape) != theirs(name, shape)}
    assert actual == listed


def test_most_prices_can_be_compared() -> None:
    """The other table knows nearly every model, so that agreeing means something."""
    assert len(LINED_UP) >= 20
    assert all(theirs(name, "input") is not None for name in LINED_UP)

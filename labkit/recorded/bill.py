"""A bill explained: by model, by what was bought, and by what each lever has saved or cost.

Every figure adds up to the totals of the ledger.  A call of unknown price is counted and named in
no sum; what a lever has done for it is unknown too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from labkit.pricing import Usage, cost, total
from labkit.recorded.call import RecordedCall
from labkit.recorded.usages import usage_of

__all__ = ["Explained", "Lever", "ModelBill", "explain", "levers", "without_caching"]

PARTS = (
    ("input", "input_tokens"),
    ("written, 5 min", "cache_creation_5m"),
    ("written, 1 h", "cache_creation_1h"),
    ("read", "cache_read_input_tokens"),
    ("output", "output_tokens"),
    ("web search", "web_search_requests"),
)
"""What is bought, and the field of `Usage` that counts it."""


@dataclass(frozen=True, slots=True)
class ModelBill:
    """What one model cost: dollars for each part, and how many calls have no known price.

    `undivided` are the dollars of calls with sub-calls, whose counts a row holds only in sum;
    with the parts they are `dollars`.
    """

    model: str
    calls: int
    unknown: int
    parts: dict[str, Decimal]
    undivided: Decimal
    dollars: Decimal


@dataclass(frozen=True, slots=True)
class Lever:
    """What a lever has saved, in dollars (below zero: cost), on how many calls.

    `unknown` counts the calls that used it and of which that cannot be said.
    """

    name: str
    calls: int
    saved: Decimal
    unknown: int


@dataclass(frozen=True, slots=True)
class Explained:
    """A bill by model and by lever; `dollars` is the sum of all calls with a known price."""

    models: tuple[ModelBill, ...]
    levers: tuple[Lever, ...]
    dollars: Decimal
    unknown: int


def explain(calls: Sequence[RecordedCall]) -> Explained:
    """Explain the bill of some recorded calls; the dearest model comes first."""
    used = [call for call in calls if call.used_tokens]
    names = dict.fromkeys(call.model or "unknown" for call in used)
    models = [
        _of_model(name, [c for c in used if (c.model or "unknown") == name]) for name in names
    ]
    return Explained(
        models=tuple(sorted(models, key=lambda bill: -bill.dollars)),
        levers=tuple(levers(used)),
        dollars=_sum(used),
        unknown=sum(call.cost_usd is None for call in used),
    )


def _of_model(name: str, calls: Sequence[RecordedCall]) -> ModelBill:
    parts = {part: Decimal(0) for part, _ in PARTS}
    for call in calls:
        usage = usage_of(call)
        if usage is not None and call.model is not None:
            for part, dollars in _parts(call.model, usage).items():
                parts[part] = total([parts[part], dollars])
    dollars = _sum(calls)
    apart = total([dollars, *(-part for part in parts.values())])
    return ModelBill(
        name, len(calls), sum(c.cost_usd is None for c in calls), parts, apart, dollars
    )


def _parts(model: str, usage: Usage) -> dict[str, Decimal]:
    """Price each part at the rates of the whole call, which its prompt's length decides."""
    found = {}
    tier, speed, region = usage.service_tier, usage.speed, usage.inference_geo
    for part, name in PARTS:
        count = getattr(usage, name)
        if count and name in ("output_tokens", "web_search_requests"):
            without: dict[str, Any] = {name: 0}
            found[part] = total([cost(model, usage), -cost(model, replace(usage, **without))])
        elif count:
            alone: dict[str, Any] = {name: usage.prompt_tokens}
            only = Usage(service_tier=tier, speed=speed, inference_geo=region, **alone)
            found[part] = cost(model, only) * count / usage.prompt_tokens
    return found


def levers(calls: Sequence[RecordedCall]) -> list[Lever]:
    """Return what prompt caching and batches have saved on the calls that used them."""
    cached = [
        call for call in calls if call.cache_read_input_tokens or call.cache_creation_input_tokens
    ]
    batched = [call for call in calls if call.service_tier == "batch"]
    return [
        _lever("prompt caching", cached, without_caching),
        _lever("batches", batched, lambda usage: replace(usage, service_tier="standard")),
    ]


def _lever(name: str, calls: Sequence[RecordedCall], undo: Callable[[Usage], Usage]) -> Lever:
    saved, unknown = [], 0
    for call in calls:
        usage = usage_of(call)
        if usage is None or call.model is None:
            unknown += 1
        else:
            saved += [cost(call.model, undo(usage)), -cost(call.model, usage)]
    return Lever(name, len(calls), total(saved), unknown)


def without_caching(usage: Usage) -> Usage:
    """Return the usage as it would have been without a breakpoint."""
    return replace(
        usage,
        input_tokens=usage.prompt_tokens,
        cache_read_input_tokens=0,
        cache_creation_5m=0,
        cache_creation_1h=0,
    )


def _sum(calls: Iterable[RecordedCall]) -> Decimal:
    return total(call.cost_usd for call in calls if call.cost_usd is not None)

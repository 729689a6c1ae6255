"""What recorded calls would have cost otherwise: another model, batches, caching, trimming.

Some answers are exact, by prices alone; others are estimates, and say on what they rest.  A call
of which an answer cannot be told is left out on both sides and counted as unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TypeAlias

from labkit import catalog
from labkit.errors import LabkitError
from labkit.pricing import Usage, cost, total
from labkit.prompt_caching.planner import plan, predict
from labkit.recorded.bill import without_caching
from labkit.recorded.call import RecordedCall
from labkit.recorded.trimmed import can_be_read, shares_left
from labkit.recorded.usages import usage_of
from labkit.routing.task_price import recounted

__all__ = ["Alternative", "what_if"]

LOOKED_AT = 20
"""Requests of a family on which a placement of breakpoints is chosen."""
APART_S = 10.0
Changed: TypeAlias = tuple[str, Usage, bool]
"""(model, usage, whether that is an estimate) of a call as it would have been."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """What `calls` calls would have cost, `dollars`, and did cost, `before`.

    `estimate` says on what the answer rests where it is not exact, "" where it is; `unknown`
    counts the calls of which it cannot be told.
    """

    name: str
    calls: int
    unknown: int
    before: Decimal
    dollars: Decimal
    estimate: str


def what_if(
    calls: Sequence[RecordedCall], *, models: Sequence[str] = (), trim: int | None = None
) -> list[Alternative]:
    """Return the alternatives for some recorded calls.

    `models` are compared with, by default those of the three roles; `trim` is the most tokens a
    prompt may have, None for a quarter of the longest one recorded.  Raises `UnknownModel`, and
    `UserError` for a `trim` below 2.
    """
    used = [call for call in calls if call.used_tokens]
    rows = [catalog.model(name).id for name in models or catalog.ROLES.values()]
    found = [
        _weighed("without prompt caching", used, _each(_uncached), ""),
        _cached(used),
        _weighed("in batches", used, _each(_batched), ""),
    ]
    for name in rows:
        said = "as many tokens of thought and answer; tokenizers by the rules of thumb"
        found.append(_weighed(f"with {name}", used, _each(_with(name)), said))
    longest = max((usage.prompt_tokens for call in used if (usage := usage_of(call))), default=0)
    most = max(2, longest // 4) if trim is None else trim
    said = "blocks are cut, and what is cut from is then sent without the prompt cache"
    trimmed = _weighed(f"trimmed at {most:,} tokens", used, _trimmed(used, most), said)
    return [*found, trimmed]


Change: TypeAlias = Callable[[int, RecordedCall, Usage], Changed | None]


def _each(change: Callable[[str, Usage], Changed]) -> Change:
    return lambda _, call, usage: change(str(call.model), usage)


def _weighed(name: str, calls: Sequence[RecordedCall], change: Change, said: str) -> Alternative:
    """Price each call as it was and as it would have been; leave out what cannot be told."""
    before, after, guessed = [], [], False
    for number, call in enumerate(calls):
        usage = usage_of(call)
        if usage is None or call.cost_usd is None:
            if call.cost_usd == 0:  # free either way, such as a refusal
                before.append(Decimal(0))
                after.append(Decimal(0))
            continue
        try:
            changed = change(number, call, usage)
            if changed is None:
                continue
            price = cost(changed[0], changed[1])
        except LabkitError:
            continue
        before.append(call.cost_usd)
        after.append(price)
        guessed = guessed or changed[2]
    unknown = len(calls) - len(after)
    said = said if guessed else ""
    return Alternative(name, len(after), unknown, total(before), total(after), said)


def _uncached(model: str, usage: Usage) -> Changed:
    return model, without_caching(usage), False


def _batched(model: str, usage: Usage) -> Changed:
    tier = usage.service_tier if usage.service_tier == "priority" else "batch"
    return model, replace(usage, service_tier=tier, speed=None), False


def _with(name: str) -> Callable[[str, Usage], Changed]:
    def change(model: str, usage: Usage) -> Changed:
        same = catalog.model(model).id == name
        counted, _ = recounted(usage, model, name)
        return name, counted, not same

    return change


def _cached(calls: Sequence[RecordedCall]) -> Alternative:
    """Plan breakpoints for the requests of each file and model, and scale to what was counted."""
    families: dict[tuple[str, str], list[int]] = {}
    for number, call in enumerate(calls):
        if can_be_read(call.request):
            families.setdefault((call.file, str(call.model)), []).append(number)
    predicted: dict[int, Usage] = {}
    for numbers in families.values():
        predicted.update(_predicted(calls, numbers))

    def change(number: int, call: RecordedCall, usage: Usage) -> Changed | None:
        told = predicted.get(number)
        return None if told is None else (str(call.model), _scaled(told, usage), True)

    said = f"requests of a file {APART_S:g} s apart, breakpoints as the planner sets them"
    return _weighed("with prompt caching", calls, change, said)


def _predicted(calls: Sequence[RecordedCall], numbers: Sequence[int]) -> dict[int, Usage]:
    bodies = [{**calls[number].request, "model": calls[number].model} for number in numbers]
    try:
        if len(bodies) > 1:
            chosen = plan(bodies[:LOOKED_AT], every_s=APART_S)
            bodies = [chosen.mark(body) for body in bodies]
        starts = [place * APART_S for place in range(len(bodies))]
        return dict(zip(numbers, predict(bodies, starts), strict=True))
    except (LabkitError, LookupError, TypeError, AttributeError):
        return {}  # recorded bodies may be anything


def _scaled(told: Usage, usage: Usage) -> Usage:
    """Divide the tokens that were counted as the estimate divides its own."""
    whole, prompt = told.prompt_tokens, usage.prompt_tokens
    if not whole:
        return without_caching(usage)
    read = told.cache_read_input_tokens * prompt // whole
    five, hour = (
        count * prompt // whole for count in (told.cache_creation_5m, told.cache_creation_1h)
    )
    return replace(
        usage,
        input_tokens=prompt - read - five - hour,
        cache_read_input_tokens=read,
        cache_creation_5m=five,
        cache_creation_1h=hour,
    )


def _trimmed(calls: Sequence[RecordedCall], most: int) -> Change:
    shares = shares_left(calls, most)

    def change(number: int, call: RecordedCall, usage: Usage) -> Changed | None:
        share = shares[number]
        if share is None or share == 1:
            return None if share is None else (str(call.model), usage, True)
        left = without_caching(usage)
        tokens = round(left.input_tokens * share)
        return str(call.model), replace(left, input_tokens=tokens), True

    return change

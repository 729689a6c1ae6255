"""A planner of breakpoints: try every sensible placement on a family of requests, keep the best.

A family is a few requests as a program sends them, in order: the turns of one conversation, or
many questions to one document.  Reads, writes and costs are predicted by the rules of the
simulated API (`labkit.sim.prompt_cache`), with its counts of tokens: on the real API the rules
are the same and the counts are estimates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from operator import itemgetter
from typing import Any

from labkit import catalog
from labkit.errors import UserError
from labkit.pricing import Usage, cost, total
from labkit.prompt_caching.break_even import Lifetime, break_even_reads
from labkit.prompt_caching.places import PLACES, Body, marked, unmarked
from labkit.sim.engine import USUAL_MINIMUM
from labkit.sim.prefix import Prefix, read_prefix
from labkit.sim.prompt_cache import PromptCache

__all__ = ["CachePlan", "plan", "predict"]

MOST_BREAKPOINTS = 4
LIFETIMES: tuple[Lifetime, ...] = ("5m", "1h")


@dataclass(frozen=True, slots=True)
class CachePlan:
    """Where breakpoints belong in a family, and what is expected of them.

    `places` has the lifetime of each (none: caching does not pay here), `usages` the prompt of
    each request as it will divide, `cost` all prompts together in dollars, `uncached_cost` the
    same without a breakpoint, `break_even` the reads that pay for a write of each lifetime.
    """

    model: str
    places: Mapping[str, Lifetime]
    shared: tuple[int, int] | None
    usages: tuple[Usage, ...]
    cost: Decimal
    uncached_cost: Decimal
    break_even: Mapping[Lifetime, int]

    def mark(self, body: Body) -> dict[str, Any]:
        """Return a request of the family with its breakpoints set, and no others."""
        return marked(body, self.places, self.shared)

    @property
    def reads(self) -> int:
        """Tokens read from the prompt cache, in all requests together."""
        return sum(usage.cache_read_input_tokens for usage in self.usages)

    @property
    def writes(self) -> int:
        """Tokens written to it, in all requests together."""
        return sum(usage.cache_creation_input_tokens for usage in self.usages)


def plan(bodies: Sequence[Body], *, every_s: float = 10.0, first_token_s: float = 2.0) -> CachePlan:
    """Return the cheapest placement for requests that come every so many seconds.

    `first_token_s` is when an answer begins, which is when its entry can be read.  Of equally
    cheap placements the one with the fewest breakpoints is kept.  Raises `UserError` for fewer
    than two requests or for several models, and `UnknownModel` and `UnknownPrice`.
    """
    models = {str(body.get("model")) for body in bodies}
    if len(bodies) < 2 or len(models) != 1:
        raise UserError("A family is at least two requests to one model.")
    (model,) = models
    plain = [unmarked(body) for body in bodies]
    starts = [number * every_s for number in range(len(bodies))]
    shared = _shared(plain, model)
    tried = []
    for places in _placements():
        family = [marked(body, places, shared) for body in plain]
        usages = predict(family, starts, first_token_s=first_token_s)
        tried.append((total(cost(model, usage) for usage in usages), places, usages))
    price, places, usages = min(tried, key=itemgetter(0))
    even = {lifetime: break_even_reads(model, lifetime) for lifetime in LIFETIMES}
    return CachePlan(model, places, shared, tuple(usages), price, tried[0][0], even)


def predict(
    bodies: Sequence[Body], starts: Sequence[float], *, first_token_s: float = 2.0
) -> list[Usage]:
    """Return how the prompts of some requests divide, as they are marked; answers are left out.

    `starts` are the seconds at which they are sent, in order.  Nothing is in the prompt cache
    before the first.
    """
    cache, usages = PromptCache(), []
    for body, start in zip(bodies, starts, strict=True):
        row = catalog.model(str(body["model"]))
        prefix = read_prefix(body, row.id)
        divided = cache.plan(prefix, row.min_cacheable or USUAL_MINIMUM, start)
        cache.commit(divided, start, start + first_token_s)
        usages.append(
            Usage(
                input_tokens=divided.uncached,
                cache_read_input_tokens=divided.read,
                cache_creation_5m=divided.written_5m,
                cache_creation_1h=divided.written_1h,
            )
        )
    return usages


def _placements() -> Iterator[Mapping[str, Lifetime]]:
    """Yield every choice of places and lifetimes that the API accepts, fewest places first.

    Of two lifetimes in one request the longer must come first, so only the moving breakpoints
    may be shorter-lived than the fixed ones.
    """
    yield {}
    for size in range(1, MOST_BREAKPOINTS + 1):
        for chosen in combinations(PLACES, size):
            for fixed, moving in (("5m", "5m"), ("1h", "5m"), ("1h", "1h")):
                lifetimes: dict[str, Lifetime] = {
                    place: moving if place in ("turn", "end") else fixed  # type: ignore[misc]
                    for place in chosen
                }
                yield lifetimes


def _shared(bodies: Sequence[Body], model: str) -> tuple[int, int] | None:
    """Find the last (message, block) up to which all requests are the same, None without one."""
    prefixes = [read_prefix(body, model) for body in bodies]
    same = 0
    for column in zip(*map(_digests, prefixes), strict=False):
        if len(set(column)) > 1:
            break
        same += 1
    places = [
        (number, block)
        for number, message in enumerate(bodies[0]["messages"])
        for block in range(max(1, len(message["content"])))
    ]
    inside = same - (len(_digests(prefixes[0])) - len(places))
    return places[inside - 1] if inside > 0 else None


def _digests(prefix: Prefix) -> list[bytes]:
    return [block.digest for block in prefix.blocks if block.level != "end"]

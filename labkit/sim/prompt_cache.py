"""The simulated prompt cache: which part of a prompt is read, written or paid in full.

Rules of claude-api.md 5: an entry is written at a breakpoint only; a read looks back over at
most 20 positions, counting the breakpoint as the first; an entry lives five minutes or an
hour from the start of the request that last used it, and can be read once the first response
that wrote it has begun; a prefix shorter than the model's minimum is silently not kept.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from labkit.sim.prefix import Prefix

__all__ = ["Plan", "PromptCache", "uncached"]

LOOK_BACK = 20
LIFETIME_S = {"5m": 300.0, "1h": 3600.0}
MOST_ENTRIES = 100_000
TICK_S = 0.001
"""The wire's times are whole milliseconds, so a first token may arrive this much early."""


class Plan(NamedTuple):
    """How one request's prompt divides, in tokens, and what it would write into the cache."""

    uncached: int
    read: int
    written_5m: int
    written_1h: int
    hit: bytes | None
    writes: tuple[tuple[bytes, str], ...]
    used: tuple[bytes, ...] = ()
    """The breakpoints within what is read, whose entries are used along with the hit."""


def uncached(tokens: int) -> Plan:
    """Return the plan of a prompt that has nothing to do with the cache."""
    return Plan(tokens, 0, 0, 0, None, ())


@dataclass(slots=True)
class _Entry:
    lifetime_s: float
    expires: float
    readable: float


class PromptCache:
    """The entries of one organisation; keys hold model and workspace, so nothing leaks across."""

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def plan(self, prefix: Prefix, minimum: int, now: float) -> Plan:
        """Return how a request that arrives now would be served; change nothing."""
        places = [p for p in prefix.breakpoints if prefix.blocks[p].tokens >= minimum]
        found = self._longest_hit(prefix, places, now)
        read = prefix.blocks[found].tokens if found is not None else 0
        new = [p for p in places if found is None or p > found]
        end_1h = max(
            (prefix.blocks[p].tokens for p in new if prefix.blocks[p].ttl == "1h"), default=read
        )
        end_5m = max((prefix.blocks[p].tokens for p in new), default=end_1h)
        return Plan(
            uncached=prefix.tokens - max(end_5m, end_1h),
            read=read,
            written_5m=max(0, end_5m - end_1h),
            written_1h=end_1h - read,
            hit=prefix.blocks[found].digest if found is not None else None,
            writes=tuple((prefix.blocks[p].digest, prefix.blocks[p].ttl or "5m") for p in new),
            used=tuple(prefix.blocks[p].digest for p in places if found is not None and p < found),
        )

    def _longest_hit(self, prefix: Prefix, places: list[int], now: float) -> int | None:
        for place in reversed(places):
            for candidate in range(place, max(-1, place - LOOK_BACK), -1):
                entry = self._entries.get(prefix.blocks[candidate].digest)
                if entry is not None and entry.readable <= now < entry.expires:
                    return candidate
        return None

    def commit(self, plan: Plan, began: float, first_token: float) -> None:
        """Carry a plan out: refresh what was read, write what is new, readable at `first_token`."""
        seen = first_token - TICK_S
        for digest in (plan.hit, *plan.used) if plan.hit is not None else ():
            entry = self._entries.get(digest)
            if entry is not None and began < entry.expires:
                entry.expires = max(entry.expires, began + entry.lifetime_s)
                self._entries.move_to_end(digest)
        for digest, ttl in plan.writes:
            lifetime, readable = LIFETIME_S[ttl], seen
            old = self._entries.get(digest)
            if old is not None and began < old.expires:  # two wrote it at once: the first counts
                lifetime, readable = max(lifetime, old.lifetime_s), min(seen, old.readable)
            self._entries[digest] = _Entry(lifetime, began + lifetime, readable)
            self._entries.move_to_end(digest)
        while len(self._entries) > MOST_ENTRIES:
            self._entries.popitem(last=False)

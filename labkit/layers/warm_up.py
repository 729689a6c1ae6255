"""Warm-up: of many requests with one prefix the first goes alone, the rest after its first token.

An entry of the prompt cache can be read once the answer that writes it has begun
(claude-api.md 5).  A fan-out that starts all at once therefore writes, and pays for, the same
prefix every time.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf
from typing import Any

from labkit.drivers import Layer
from labkit.flow import Flow, Gate, Note, Now, Outcome, Request, Send, Wait

__all__ = ["WarmUp", "warm_key"]

LIFETIME_S = {"5m": 300.0, "1h": 3600.0}
MOST_KEPT = 10_000


@dataclass(slots=True)
class _Entry:
    """A prefix on its way into the prompt cache, or in it until `expires`."""

    begun: Gate = field(default_factory=Gate)
    expires: float = -inf


class WarmUp(Layer):
    """Lets one request write a prefix while the others with the same prefix wait for it.

    The prefix ends at the last explicit breakpoint, so set that where the requests part.  A plain
    answer is seen when it is complete, a stream when its first content comes: a fan-out of
    streams waits less.  When the first request fails or is cancelled, one of those waiting takes
    its place.  Place it outside of `Throttle` and `Bulkhead`, so that nobody waits in a place
    that others need, and outside of `Retry`.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()

    def flow(self, request: Request) -> Flow:
        """Go first, or wait until somebody has."""
        found = warm_key(request.body)
        if found is None:
            passed: Outcome = yield Send(request)
            return passed
        key, lifetime = found
        while True:
            now: float = yield Now()
            entry = self._entries.get(key)
            if entry is None or (entry.begun.is_open and now >= entry.expires):
                return (yield from self._first(request, key, now + lifetime))
            if entry.begun.is_open:
                entry.expires = max(entry.expires, now + lifetime)
                break
            yield Note("warm_up", waits=True)
            if not (yield Wait(entry.begun, request.deadline)):
                break
        outcome: Outcome = yield Send(request)
        return outcome

    def _first(self, request: Request, key: bytes, expires: float) -> Flow:
        entry = self._entries[key] = _Entry()
        self._entries.move_to_end(key)
        outcome: Outcome | None = None
        try:
            outcome = yield Send(request)
            return outcome
        finally:
            if outcome is not None and outcome.ok:
                entry.expires = expires
                while len(self._entries) > MOST_KEPT:
                    self._entries.popitem(last=False)
            elif self._entries.get(key) is entry:
                del self._entries[key]
            entry.begun.open()


def warm_key(body: Mapping[str, Any]) -> tuple[bytes, float] | None:
    """Return (digest of the prefix, its lifetime in seconds), None without an explicit breakpoint.

    Settings that make a prefix another one are part of the digest.
    """
    digest = blake2b(digest_size=16)
    settings = ("model", "speed", "tool_choice", "thinking", "output_config")
    digest.update(json.dumps([body.get(name) for name in settings], default=str).encode())
    found: tuple[bytes, float] | None = None
    for level, block in _blocks(body):
        plain = {name: value for name, value in block.items() if name != "cache_control"}
        digest.update(json.dumps([level, plain], default=str).encode())
        control = block.get("cache_control")
        if isinstance(control, Mapping):
            found = digest.digest(), LIFETIME_S.get(str(control.get("ttl", "5m")), 300.0)
    return found


def _blocks(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    levels = [("tools", body.get("tools")), ("system", body.get("system"))]
    for message in body.get("messages") or ():
        levels.append((str(message.get("role")), message.get("content")))
    for level, content in levels:
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        yield from ((level, block) for block in blocks or () if isinstance(block, Mapping))

"""Prompt cache diagnostics: what has changed since the request that a client names.

A request that carries a `diagnostics` object leaves a fingerprint behind, under the id of its
answer; one that carries none leaves nothing.  A later request may name that id, and is told the
first thing in which the two differ (claude-api.md 5; platform.claude.com/docs/en/build-with-
claude/cache-diagnostics, September 2026).  Requests are compared, not entries of the prompt
cache: whether anything was read stands in `usage`.

Left open there and decided here: tools are compared before the system prompt, as they stand in
the prompt; a fingerprint is kept for an hour; the tokens missed are those between the first
difference and the last breakpoint of the earlier request; beta headers are not compared, and
no comparison is ever still under way.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from labkit.sim.tokens import walk

__all__ = ["Diagnostics"]

KEPT_S = 3600.0
"""Assumed; the documentation says "a limited time"."""
MOST_KEPT = 10_000
SETTINGS = ("tool_choice", "thinking", "context_management", "output_config", "output_format")
"""What also shapes a prompt: where only this differs, there is no diagnosis."""


@dataclass(frozen=True, slots=True)
class _Fingerprint:
    """A request without its words."""

    at: float
    model: tuple[str, str]
    settings: bytes
    levels: Mapping[str, Sequence[bytes]]
    """A digest of each block of "tools", "system" and "messages"."""
    ends: Sequence[int]
    """Tokens of the prompt up to and with each block, in that order."""
    cached: int
    """Tokens up to the last breakpoint, 0 without one."""


class Diagnostics:
    """The fingerprints of one organisation's requests."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Fingerprint] = OrderedDict()

    def diagnose(
        self, body: Mapping[str, Any], model_id: str, message_id: str, now: float
    ) -> dict[str, Any] | None:
        """Return `diagnostics` of the answer `message_id`, and remember its request.

        None where the request names no earlier one, or nothing has changed but by appending.
        """
        new = _fingerprint(body, model_id, now)
        self._kept[message_id] = new
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        named = body["diagnostics"].get("previous_message_id")
        if named is None:
            return None
        old = self._kept.get(named)
        if old is None or named == message_id or now > old.at + KEPT_S:
            return {"cache_miss_reason": {"type": "previous_message_not_found"}}
        reason = _reason(old, new)
        return None if reason is None else {"cache_miss_reason": reason}


def _reason(old: _Fingerprint, new: _Fingerprint) -> dict[str, Any] | None:
    if old.model != new.model:
        return _changed("model", old.cached)
    before = 0
    for level, ours in old.levels.items():
        theirs = new.levels[level]
        if level == "messages":  # these may grow
            if old.settings != new.settings:
                return {"type": "unavailable"}
            theirs = theirs[: len(ours)]
        if ours != theirs:
            pairs = zip(ours, theirs, strict=False)
            same = before + sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            read = old.ends[same - 1] if same else 0
            return _changed(level, max(0, old.cached - read))
        before += len(ours)
    return None


def _changed(what: str, tokens: int) -> dict[str, Any]:
    return {"type": f"{what}_changed", "cache_missed_input_tokens": tokens}


def _fingerprint(body: Mapping[str, Any], model_id: str, now: float) -> _Fingerprint:
    levels: dict[str, list[bytes]] = {"tools": [], "system": [], "messages": []}
    ends: list[int] = []
    total = cached = 0
    for level, block, tokens in walk(body):
        if level == "end":
            break
        total += tokens
        ends.append(total)
        plain = {key: value for key, value in block.items() if key != "cache_control"}
        levels[level].append(_digest(plain))
        if isinstance(block.get("cache_control"), dict):
            cached = total
    if isinstance(body.get("cache_control"), dict):
        cached = total
    settings = _digest([body.get(name) for name in SETTINGS])
    model = (model_id, str(body.get("speed") or "standard"))
    return _Fingerprint(now, model, settings, levels, ends, cached)


def _digest(value: object) -> bytes:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).digest()

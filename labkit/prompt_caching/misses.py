"""Why the prompt cache has missed, in a sentence, and what to do about it.

Ask the API: send `diagnostics={"previous_message_id": last.id}` and give `explain` the answer.
What the API does not compare, time and length among it, is told from the two requests alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import Any

from labkit import catalog
from labkit.prompt_caching.places import Body
from labkit.sim.engine import USUAL_MINIMUM
from labkit.sim.prefix import read_prefix
from labkit.sim.prompt_cache import LIFETIME_S, LOOK_BACK

__all__ = ["explain", "why_missed"]

REASONS = {
    "model_changed": "the model (or its speed) is another, and each has a prompt cache of its own",
    "tools_changed": "the tools have changed: keep them the same, in the same order, in all turns",
    "system_changed": "the system prompt has changed: move what changes, such as the date, behind "
    "the last breakpoint",
    "messages_changed": "an earlier message has changed: append to a conversation, never edit it",
    "previous_message_not_found": "the earlier request is not known: it bore no diagnostics, or it "
    "was too long ago",
    "unavailable": "only settings have changed, such as effort, thinking or tool_choice: they "
    "count as part of the messages",
}


def explain(diagnostics: object) -> str | None:
    """Say in a sentence what the API found out, None where nothing has changed or been asked.

    Takes the `diagnostics` of a Message, as a mapping or as the SDK's model.
    """
    reason = _get(_get(diagnostics, "cache_miss_reason"), "type")
    if reason is None:
        return None
    missed = _get(_get(diagnostics, "cache_miss_reason"), "cache_missed_input_tokens")
    told = REASONS.get(str(reason), f"the API says {reason!r}")
    return f"Missed: {told}." if missed is None else f"Missed {missed:,} tokens: {told}."


def why_missed(before: Body, after: Body, *, apart_s: float, first_token_s: float = 2.0) -> str:
    """Say why a request will not read what the one before it has written.

    `apart_s` is the seconds between their starts; the earlier answer began after `first_token_s`.
    Tokens are counted as the simulated API counts them.
    """
    row = catalog.model(str(before["model"]))
    one, two = (read_prefix(body, catalog.model(str(body["model"])).id) for body in (before, after))
    least = row.min_cacheable or USUAL_MINIMUM
    written = [place for place in one.breakpoints if one.blocks[place].tokens >= least]
    if not one.breakpoints:
        return "Nothing was written: the earlier request has no breakpoint."
    if not written:
        longest = one.blocks[one.breakpoints[-1]].tokens
        return f"Nothing was written: {longest:,} tokens up to the breakpoint, {least:,} needed."
    if catalog.model(str(after["model"])).id != row.id:
        return f"Missed: {REASONS['model_changed']}."
    pairs = zip(one.blocks, two.blocks, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0].digest == pair[1].digest, pairs))
    within = [place for place in written if place < same]
    if not within:
        level = one.blocks[min(same, len(one.blocks) - 1)].level
        return f"Missed: {REASONS.get(f'{level}_changed', REASONS['messages_changed'])}."
    if apart_s >= max(LIFETIME_S[one.blocks[place].ttl or "5m"] for place in within):
        return f"Missed: {apart_s:,.0f} s is more than the entry lives."
    if apart_s < first_token_s:
        return "Missed: the earlier answer had not begun, so there was nothing to read yet."
    if not two.breakpoints:
        return "Nothing is read: the later request has no breakpoint."
    if not any(end - LOOK_BACK < place <= end for end in two.breakpoints for place in within):
        return f"Missed: the last entry is {LOOK_BACK} blocks or more before every breakpoint."
    return "Not missed: there is an entry to read."


def _get(source: object, name: str) -> Any:
    return source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)

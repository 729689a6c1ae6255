"""What is going to be said: content blocks, why they end, and how many tokens they are.

Limits are applied here: the earliest stop sequence in a text, then `max_tokens`, then the end
of the context window.  A text or thinking that does not fit is cut; any other block that does
not fit is left out whole, and nothing follows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from labkit.catalog import model
from labkit.sim.answers.turns import listed
from labkit.sim.tokens import count_text, first_tokens

__all__ = ["Block", "Composed", "block_tokens", "finished", "first_blocks"]

Block = Mapping[str, Any]
"""One content block, as it stands in a message."""


@dataclass(frozen=True, slots=True)
class Composed:
    """An answer without its envelope.

    `output_tokens` counts what is billed, `thinking_tokens` the part of it that was thinking,
    shown or not; None where thinking was not turned on.
    """

    content: tuple[Block, ...]
    stop_reason: str = "end_turn"
    stop_sequence: str | None = None
    stop_details: Mapping[str, Any] | None = None
    output_tokens: int = 0
    thinking_tokens: int | None = None


def block_tokens(block: Block, model_name: str, hidden: int | None = None) -> int:
    """Return the tokens of one block; `hidden` are those of thinking that is not shown."""
    kind = block.get("type")
    if kind == "text":
        return count_text(str(block.get("text", "")), model_name)
    if kind == "thinking":
        return count_text(str(block.get("thinking", "")), model_name) or hidden or 0
    if "input" in block:
        return count_text(f"{block.get('name', '')}{json.dumps(block['input'])}", model_name)
    return count_text(json.dumps(block), model_name)


def finished(
    draft: Composed, body: Mapping[str, Any], *, prompt_tokens: int | None = None
) -> Composed:
    """Return the draft as the limits of the request leave it, with its tokens counted.

    `prompt_tokens` is needed for the end of the context window.
    """
    name = str(body["model"])
    content, sequence = _before_stop(draft.content, listed(body.get("stop_sequences")))
    total = sum(block_tokens(each, name, draft.thinking_tokens) for each in content)
    limit, reason = _room(body, name, prompt_tokens)
    thinking = draft.thinking_tokens
    if total > limit:
        kept = first_blocks(content, limit, name, thinking)
        cut = None if thinking is None else min(thinking, limit)
        return Composed(kept, reason, output_tokens=limit, thinking_tokens=cut)
    shown = tuple(each for each in content if each.get("type") != "text" or each["text"])
    if sequence is None:
        return Composed(shown, draft.stop_reason, None, draft.stop_details, total, thinking)
    return Composed(shown, "stop_sequence", sequence, None, total, thinking)


def first_blocks(
    content: Sequence[Block], tokens: int, model_name: str, hidden: int | None = None
) -> tuple[Block, ...]:
    """Return what so many tokens hold of some blocks."""
    kept: list[Block] = []
    for block in content:
        needed = block_tokens(block, model_name, hidden)
        if needed <= tokens:
            kept.append(block)
            tokens -= needed
            continue
        field = str(block.get("type"))
        if field in ("text", "thinking") and tokens > 0:
            text = first_tokens(str(block.get(field, "")), tokens, model_name)
            kept.append({**block, field: text})
        break
    return tuple(kept)


def _before_stop(
    content: Sequence[Block], sequences: Sequence[object]
) -> tuple[Sequence[Block], str | None]:
    """Return the blocks up to the first stop sequence in a text, and that sequence."""
    wanted = [each for each in sequences if isinstance(each, str) and each]
    for place, block in enumerate(content if wanted else ()):
        text = str(block.get("text", "")) if block.get("type") == "text" else ""
        found = [(text.find(each), each) for each in wanted if each in text]
        if found:
            at, sequence = min(found)
            return [*content[:place], {**block, "text": text[:at]}], sequence
    return content, None


def _room(body: Mapping[str, Any], model_name: str, prompt_tokens: int | None) -> tuple[int, str]:
    most, window = int(body["max_tokens"]), model(model_name).context_window
    if prompt_tokens is not None and window is not None and window - prompt_tokens < most:
        return max(0, window - prompt_tokens), "model_context_window_exceeded"
    return most, "max_tokens"

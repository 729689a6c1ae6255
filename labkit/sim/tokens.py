"""The simulated tokenizer: characters divided by a documented ratio.

The official rules of thumb are about 2.5 characters a token for the tokenizer of Claude 4.7
and later, and about 3.4 for the one before (claude-api.md 1.3).  The simulator counts by
exactly these ratios, so its counts are reproducible; they are not the real tokenizer's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from labkit.catalog import model

__all__ = ["CHARACTERS_PER_TOKEN", "count_prompt", "count_text", "first_tokens", "walk"]

CHARACTERS_PER_TOKEN = {"new": 2.5, "old": 3.4}
"""A model whose generation is not established counts like the new ones."""
MESSAGE_OVERHEAD = 3
IMAGE_TOKENS = 1500
EMPTY = {"type": "text", "text": ""}


def count_text(text: str, model_name: str) -> int:
    """Return the simulated number of tokens of `text` for a model; empty text has none."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN[model(model_name).tokenizer or "new"])


def first_tokens(text: str, tokens: int, model_name: str) -> str:
    """Return as much of the text's start as so many tokens hold."""
    return text[: int(tokens * CHARACTERS_PER_TOKEN[model(model_name).tokenizer or "new"])]


def count_prompt(body: Mapping[str, Any]) -> int:
    """Return the simulated tokens of a whole request: tools, system and messages."""
    return sum(tokens for _, _, tokens in walk(body))


def walk(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """Yield (level, block, tokens) in the order of the prompt: tools, system, messages.

    The role of a message stands in each of its blocks.  Its framing counts after its last one:
    with the next block, or in the end as a level of its own, so that a prompt with a breakpoint
    on its last block leaves these few tokens uncached, as in recordings.  Whether a block has a
    breakpoint changes nothing about its tokens.
    """
    name = str(body.get("model", ""))
    for tool in body.get("tools") or ():
        plain = {key: value for key, value in tool.items() if key != "cache_control"}
        yield "tools", tool, count_text(json.dumps(plain), name)
    for block in _blocks(body.get("system")):
        yield "system", block, _count_block(block, name)
    framing = 0
    for message in body.get("messages") or ():
        for block in _blocks(message.get("content")) or [EMPTY]:
            tokens = framing + _count_block(block, name)
            yield "messages", {**block, "role": message.get("role")}, tokens
            framing = 0
        framing += MESSAGE_OVERHEAD
    yield "end", EMPTY, framing


def _blocks(content: object) -> list[Mapping[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return (
        [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    )


def _count_block(block: Mapping[str, Any], name: str) -> int:
    """Count one content block; an image or document counts flat."""
    if block.get("type") in ("image", "document"):
        return IMAGE_TOKENS
    text = block.get("text")
    return count_text(text if isinstance(text, str) else _text([block]), name)


def _text(content: Any) -> str:
    """Join what is to be read of content, however deeply its blocks are nested."""
    pieces: list[str] = []
    left = [content]
    while left:
        part = left.pop()
        if isinstance(part, str):
            pieces.append(part)
        elif isinstance(part, list):
            left.extend(reversed(part))
        elif isinstance(part, (dict, Mapping)):
            left.append(_said(part))
    return "".join(pieces)


def _said(block: Mapping[str, Any]) -> Any:
    for name in ("text", "thinking"):
        if name in block:
            return str(block[name])
    return json.dumps(block["input"]) if "input" in block else block.get("content", "")

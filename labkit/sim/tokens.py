"""The simulated tokenizer: characters divided by a documented ratio.

The official rules of thumb are about 2.5 characters a token for the tokenizer of Claude 4.7
and later, and about 3.4 for the one before (claude-api.md 1.3).  The simulator counts by
exactly these ratios, so its counts are reproducible; they are not the real tokenizer's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from labkit.catalog import model

__all__ = ["CHARACTERS_PER_TOKEN", "count_block", "count_prompt", "count_text", "first_tokens"]

CHARACTERS_PER_TOKEN = {"new": 2.5, "old": 3.4}
"""A model whose generation is not established counts like the new ones."""
MESSAGE_OVERHEAD = 3
IMAGE_TOKENS = 1500


def count_text(text: str, model_name: str) -> int:
    """Return the simulated number of tokens of `text` for a model; empty text has none."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN[model(model_name).tokenizer or "new"])


def first_tokens(text: str, tokens: int, model_name: str) -> str:
    """Return as much of the text's start as so many tokens hold."""
    return text[: int(tokens * CHARACTERS_PER_TOKEN[model(model_name).tokenizer or "new"])]


def count_prompt(body: Mapping[str, Any]) -> int:
    """Return the simulated tokens of a whole request: system, tools and messages."""
    name = str(body.get("model", ""))
    total = count_text(_text(body.get("system", "")), name)
    if body.get("tools"):
        total += count_text(json.dumps(body["tools"]), name)
    for message in body.get("messages", []):
        total += MESSAGE_OVERHEAD + _count_content(message.get("content", ""), name)
    return total


def _count_content(content: Any, name: str) -> int:
    if isinstance(content, str):
        return count_text(content, name)
    return sum(count_block(block, name) for block in content or ())


def count_block(block: Mapping[str, Any], name: str) -> int:
    """Return the simulated tokens of one content block; an image or document counts flat."""
    if block.get("type") in ("image", "document"):
        return IMAGE_TOKENS
    return count_text(_text([block]), name)


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
        elif isinstance(part, Mapping):
            left.append(_said(part))
    return "".join(pieces)


def _said(block: Mapping[str, Any]) -> Any:
    for name in ("text", "thinking"):
        if name in block:
            return str(block[name])
    return json.dumps(block["input"]) if "input" in block else block.get("content", "")

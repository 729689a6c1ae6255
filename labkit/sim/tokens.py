"""The simulated tokenizer: characters divided by a documented ratio.

The official rules of thumb are about 2.5 characters a token for the tokenizer of Claude 4.7
and later, and about 3.4 for the one before (claude-api.md 1.3).  The simulator counts by
exactly these ratios, so its counts are reproducible; they are not the real tokenizer's.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from labkit.catalog import model

__all__ = ["CHARACTERS_PER_TOKEN", "count_prompt", "count_text"]

CHARACTERS_PER_TOKEN = {"new": 2.5, "old": 3.4}
"""A model whose generation is not established counts like the new ones."""
MESSAGE_OVERHEAD = 3
IMAGE_TOKENS = 1500


def count_text(text: str, model_name: str) -> int:
    """Return the simulated number of tokens of `text` for a model; empty text has none."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN[model(model_name).tokenizer or "new"])


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
    total = 0
    for block in content or ():
        if block.get("type") in ("image", "document"):
            total += IMAGE_TOKENS
        else:
            total += count_text(_text([block]), name)
    return total


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(_block_texts(content or ()))


def _block_texts(blocks: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for block in blocks:
        if "text" in block:
            yield str(block["text"])
        elif "thinking" in block:
            yield str(block["thinking"])
        elif "input" in block:
            yield json.dumps(block["input"])
        elif "content" in block:
            yield _text(block["content"])

"""A conversation as plain text, for a model that is to sum it up.

As text nothing of it has to be a valid request: tool calls need no tools, thinking is left out
instead of being sent to a model that did not think it, an image is only named.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

__all__ = ["transcript"]

NAMES = {"user": "User", "assistant": "Assistant", "system": "System"}
SILENT = ("thinking", "redacted_thinking")


def transcript(messages: Iterable[Mapping[str, Any]]) -> str:
    """Return the messages as lines, each with who says it."""
    return "\n".join(line for message in messages for line in _lines(message))


def _lines(message: Mapping[str, Any]) -> Iterator[str]:
    name = NAMES.get(str(message.get("role")), "Somebody")
    content = message.get("content")
    if isinstance(content, str):
        yield f"{name}: {content}"
        return
    for block in content if isinstance(content, list | tuple) else ():
        plain = block if isinstance(block, Mapping) else _plain(block)
        if plain.get("type") not in SILENT:
            yield f"{name}{_said(plain)}"


def _said(block: Mapping[str, Any]) -> str:
    kind = str(block.get("type"))
    if kind == "text":
        return f": {block.get('text', '')}"
    if "input" in block:
        return f" calls {block.get('name')}: {json.dumps(block['input'], ensure_ascii=False)}"
    if kind == "tool_result":
        return f" is told by a tool: {_result(block.get('content'))}"
    return f": [{kind}]"


def _result(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list | tuple) else ()
    texts = [each.get("text", f"[{each.get('type')}]") for each in blocks if isinstance(each, dict)]
    return " ".join(map(str, texts))


def _plain(block: object) -> Mapping[str, Any]:
    """Read one of the SDK's own blocks."""
    to_dict = getattr(block, "to_dict", None)
    found = to_dict() if callable(to_dict) else None
    return found if isinstance(found, Mapping) else {"type": type(block).__name__}

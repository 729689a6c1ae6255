"""How many tokens a prompt has, estimated without asking anyone, per generation of tokenizer.

Rules of thumb, never exact: `labkit.context.calibration` corrects them by what replies report,
and `exact_tokens` asks the counting endpoint.  An estimate rather errs upwards.

    text       characters divided by 2.5 from Claude 4.7 on, by 3.4 before (claude-api.md 1.3);
               beyond ASCII the bytes count, as other scripts take more tokens a character
    thinking   as text; where the API left it out, its sealed copy stands for it
    image      see `labkit.context.pictures`
    document   3,000 tokens a page, the upper end of what the PDF page of the documentation says
    tools      their definitions as JSON, and 500 tokens for the hidden prompt about tool use
               (286 to 804, depending on the model: claude-api.md 1.3)
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from labkit.catalog import model
from labkit.context.pictures import picture_tokens
from labkit.errors import UnknownModel

if TYPE_CHECKING:
    import anthropic

__all__ = [
    "Generation",
    "blocks_of",
    "estimate_fixed",
    "estimate_message",
    "estimate_request",
    "exact_tokens",
    "generation_of",
]

Generation: TypeAlias = Literal["new", "old"]

BYTES_PER_TOKEN: Mapping[Generation, float] = {"new": 2.5, "old": 3.4}
MESSAGE_FRAME = 3
TOOL_PROMPT = 500
PAGE_TOKENS = 3000
COUNTED = (
    *("model", "messages", "system", "tools", "tool_choice"),
    *("thinking", "output_config", "cache_control", "speed"),
)
"""What the counting endpoint takes (claude-api.md 7)."""


def generation_of(name: object) -> Generation:
    """Return the tokenizer of a model: the new one, which counts more, where it is not known."""
    try:
        return model(str(name)).tokenizer or "new"
    except UnknownModel:
        return "new"


def estimate_request(body: Mapping[str, Any]) -> int:
    """Estimate the whole prompt of a Messages body: tools, system and messages."""
    generation = generation_of(body.get("model"))
    said = sum(estimate_message(each, generation) for each in body.get("messages") or ())
    return estimate_fixed(body, generation) + said


def estimate_fixed(body: Mapping[str, Any], generation: Generation) -> int:
    """Estimate what every request of a conversation repeats: tools and the system prompt."""
    tools = blocks_of(body.get("tools"))
    total = TOOL_PROMPT if tools else 0
    for tool in tools:
        plain = {name: value for name, value in tool.items() if name != "cache_control"}
        total += _text(json.dumps(plain, default=str), generation)
    return total + _content(body.get("system") or (), generation)


def estimate_message(message: Mapping[str, Any], generation: Generation) -> int:
    """Estimate one message with its frame."""
    return MESSAGE_FRAME + _content(message.get("content") or (), generation)


def exact_tokens(client: anthropic.Anthropic, body: Mapping[str, Any]) -> int:
    """Ask the counting endpoint: free, with rate limits of its own, a network call each time.

    Fields it does not take, such as `max_tokens`, are left out.  Raises what the client raises.
    """
    counted = {name: body[name] for name in COUNTED if name in body}
    return client.messages.count_tokens(**counted).input_tokens


def blocks_of(content: object) -> list[Mapping[str, Any]]:
    """Return the blocks of any content; a reply's blocks of the SDK's own types count as well."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    blocks: list[Mapping[str, Any]] = []
    for block in content if isinstance(content, Iterable) else ():
        if isinstance(block, Mapping):
            blocks.append(block)
        elif hasattr(block, "model_dump"):
            blocks.append(block.model_dump(exclude_none=True))
    return blocks


def _content(content: object, generation: Generation) -> int:
    if isinstance(content, str):
        return _text(content, generation)
    return sum(_block(block, generation) for block in blocks_of(content))


def _block(block: Mapping[str, Any], generation: Generation) -> int:
    match block.get("type"):
        case "text":
            return _text(str(block.get("text", "")), generation)
        case "thinking":
            said, sealed = str(block.get("thinking", "")), str(block.get("signature", ""))
            return _text(said or sealed, generation)
        case "redacted_thinking":
            return _text(str(block.get("data", "")), generation)
        case "image":
            return picture_tokens(block.get("source"), generation)
        case "document":
            return _document(block.get("source"), generation)
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            called = f"{block.get('name', '')}{json.dumps(block.get('input'), default=str)}"
            return _text(called, generation)
        case "tool_result":
            return _content(block.get("content") or (), generation)
    plain = {name: value for name, value in block.items() if name != "cache_control"}
    return _text(json.dumps(plain, default=str), generation)


def _document(source: object, generation: Generation) -> int:
    """Estimate a document by its text or its pages; one page where it cannot be looked into."""
    if not isinstance(source, Mapping):
        return PAGE_TOKENS
    if source.get("type") == "text":
        return _text(str(source.get("data", "")), generation)
    if source.get("type") == "content":
        return _content(source.get("content") or (), generation)
    return PAGE_TOKENS * max(1, _pages(source.get("data")))


def _pages(data: object) -> int:
    """Count the pages of a PDF whose page list is not compressed; 0 for anything else."""
    try:
        plain = base64.b64decode(data) if isinstance(data, str) else b""
    except ValueError:
        return 0
    return sum(plain.count(word) for word in (b"/Type /Page\n", b"/Type /Page ", b"/Type/Page/"))


def _text(text: str, generation: Generation) -> int:
    size = len(text) if text.isascii() else len(text.encode(errors="replace"))
    return math.ceil(size / BYTES_PER_TOKEN[generation])

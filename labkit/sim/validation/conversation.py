"""What the messages of a request must be to each other, beyond the shape of each.

Roles in order, nothing empty, no block where it cannot stand, an unfinished answer at the end
only where the model goes on from one.  Tool calls and their results are in `tool_pairs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labkit.sim.model_rules import ModelRules
from labkit.sim.validation.blocks import SERVER_RESULTS

__all__ = ["conversation_problems"]

Message = Mapping[str, Any]
Block = Mapping[str, Any]

ASSISTANT_ONLY = ("thinking", "redacted_thinking", "tool_use", "server_tool_use", *SERVER_RESULTS)
USER_ONLY = ("tool_result", "container_upload")
DIRECTIVE = "the directive-only form (content: [] with output_config) is accepted at any position"
FOLLOWS = "must follow a 'user' message or an 'assistant' message ending in a server tool result"
PRECEDES = "must precede an 'assistant' message or end the array"


def conversation_problems(
    body: Mapping[str, Any], rules: ModelRules, *, strict: bool
) -> Iterator[str]:
    """Find what is wrong with the messages; `strict` is API version 2026-10-21 or later.

    Wording of the `system` role as observed by third parties; rules of prefill and version:
    claude-api.md 1.4, 3.4.
    """
    messages: Sequence[Message] = body["messages"]
    if messages[0]["role"] == "assistant" and not _is_compacted(messages[0]):
        yield 'messages: first message must use the "user" role'
    yield from _system_turns(messages, rules)
    for place, message in enumerate(messages):
        yield from _content(message, place, place == len(messages) - 1)
        for position, block in enumerate(_blocks(message)):
            at = f"messages.{place}.content.{position}"
            yield from _standing(block, message["role"], at, strict=strict)
    yield from _empty_system(body.get("system"))
    yield from _prefill(messages, rules)


def _system_turns(messages: Sequence[Message], rules: ModelRules) -> Iterator[str]:
    """Judge each `system` turn by the nearest other turn before and after its group."""
    for place, message in enumerate(messages):
        if message["role"] != "system":
            continue
        if not rules.system_turns:
            yield "role 'system' is not supported on this model"
        if message["content"] == [] and "output_config" in message:
            continue
        before = next((m for m in reversed(messages[:place]) if m["role"] != "system"), None)
        after = next((m for m in messages[place + 1 :] if m["role"] != "system"), None)
        if before is None:
            yield f"messages.{place}: use the top-level 'system' parameter"
        elif before["role"] == "assistant" and not _ends_at_server(before):
            yield f"messages.{place}: role 'system' {FOLLOWS}; {DIRECTIVE}"
        elif after is not None and after["role"] != "assistant":
            yield f"messages.{place}: role 'system' {PRECEDES}; {DIRECTIVE}"


def _content(message: Message, place: int, is_last: bool) -> Iterator[str]:
    """Find empty content; a lone space passes, as a recording shows."""
    content, role = message["content"], message["role"]
    if not content and not (role == "assistant" and is_last) and "output_config" not in message:
        yield (
            f"messages.{place}: all messages must have non-empty content except for the optional "
            "final assistant message"
        )
    if any(block["type"] == "text" and not block["text"] for block in _blocks(message)):
        yield "messages: text content blocks must be non-empty"


def _standing(block: Block, role: str, at: str, *, strict: bool) -> Iterator[str]:
    kind = block["type"]
    if kind in ASSISTANT_ONLY and role != "assistant":
        yield f"{at}: `{kind}` blocks can only be in `assistant` messages"
    elif kind in USER_ONLY and role != "user":
        yield f"{at}: `{kind}` blocks can only be in `user` messages"
    elif role == "system" and kind not in ("text", "tool_addition", "tool_removal"):
        yield f"{at}: `{kind}` blocks cannot be in `system` messages"
    elif strict and kind == "document" and role == "assistant":
        yield f"{at}: `document` blocks cannot be in `assistant` messages"
    elif strict and kind == "text" and role == "user" and block.get("citations"):
        yield f"{at}.text.citations: Extra inputs are not permitted"


def _empty_system(system: object) -> Iterator[str]:
    if isinstance(system, list) and any(not block["text"] for block in system):
        yield "system: text content blocks must be non-empty"


def _prefill(messages: Sequence[Message], rules: ModelRules) -> Iterator[str]:
    """Judge an assistant's turn at the end; a paused server tool sent back is no prefill."""
    last = messages[-1]
    if last["role"] != "assistant" or _ends_at_server(last):
        return
    if not rules.prefill:
        yield (
            "This model does not support assistant message prefill. The conversation must end "
            "with a user message."
        )
    texts = [block["text"] for block in _blocks(last)[-1:] if block["type"] == "text"]
    texts += [last["content"]] if isinstance(last["content"], str) else []
    if texts and texts[-1] != texts[-1].rstrip():
        yield "messages: final assistant content cannot end with trailing whitespace"


def _is_compacted(message: Message) -> bool:
    """Say whether a message begins with the summary of all that was before it."""
    return any(block["type"] == "compaction" for block in _blocks(message)[:1])


def _blocks(message: Message) -> Sequence[Block]:
    content = message["content"]
    return content if isinstance(content, list) else []


def _ends_at_server(message: Message) -> bool:
    blocks = _blocks(message)
    return bool(blocks) and blocks[-1]["type"] in ("server_tool_use", *SERVER_RESULTS)

"""Context editing: old tool results and old thinking leave a prompt before the model reads it.

The client sends its whole history every time and the server edits it anew every time, so what is
cleared grows with the conversation, and the prompt cache is of use only up to the first thing
that was cleared (claude-api.md 8).  Left open there and decided here: a trigger fires when its
figure is reached, and the text that stands for a cleared result is `CLEARED`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.sim.tokens import count_prompt
from labkit.sim.validation.hosted import CLEAR_THINKING, CLEAR_TOOLS

__all__ = ["CLEARED", "edited"]

CLEARED = "[Simulated: this tool result was cleared.]"
TRIGGER = 100_000
KEPT_USES = 3
Body = Mapping[str, Any]
Message = Mapping[str, Any]


def edited(body: Body) -> tuple[Body, list[dict[str, Any]]]:
    """Return the body as its edits leave it, and the edits that applied, as a reply names them."""
    applied = []
    for edit in (body.get("context_management") or {}).get("edits", []):
        before, changed = count_prompt(body), body
        told: dict[str, int] = {}
        if edit["type"] == CLEAR_TOOLS:
            changed, told = _without_results(body, edit, before)
        elif edit["type"] == CLEAR_THINKING:
            changed, told = _without_thinking(body, edit)
        cleared = before - count_prompt(changed)
        least = (edit.get("clear_at_least") or {}).get("value", 0)
        if told and cleared >= least:
            body = changed
            applied.append({"type": edit["type"], "cleared_input_tokens": cleared, **told})
    return body, applied


def _without_results(
    body: Body, edit: Mapping[str, Any], tokens: int
) -> tuple[Body, dict[str, int]]:
    """Clear all tool uses but the latest."""
    spared = edit.get("exclude_tools") or ()
    uses = [
        block
        for message in body["messages"]
        for block in _blocks(message)
        if block.get("type") == "tool_use" and block["name"] not in spared
    ]
    trigger = edit.get("trigger") or {"type": "input_tokens", "value": TRIGGER}
    reached = tokens if trigger["type"] == "input_tokens" else len(uses)
    keep = (edit.get("keep") or {"value": KEPT_USES})["value"]
    old = {block["id"]: block["name"] for block in uses[: max(0, len(uses) - keep)]}
    if reached < trigger["value"] or not old:
        return body, {}
    inputs = edit.get("clear_tool_inputs") or ()
    emptied = {name for name, tool in old.items() if inputs is True or tool in (inputs or ())}

    def cleared(block: Mapping[str, Any]) -> Mapping[str, Any]:
        if block.get("type") == "tool_result" and block["tool_use_id"] in old:
            return {**block, "content": CLEARED}
        if block.get("type") == "tool_use" and block["id"] in emptied:
            return {**block, "input": {}}
        return block

    changed = [_with(message, list(map(cleared, _blocks(message)))) for message in body["messages"]]
    return {**body, "messages": changed}, {"cleared_tool_uses": len(old)}


def _without_thinking(body: Body, edit: Mapping[str, Any]) -> tuple[Body, dict[str, int]]:
    """Take the thinking out of all assistant's turns but the latest."""
    keep = edit["keep"] if isinstance(edit["keep"], str) else edit["keep"].get("value", "all")
    if keep == "all":
        return body, {}
    turns = [n for n, each in enumerate(body["messages"]) if each["role"] == "assistant"]
    messages, cleared = list(body["messages"]), 0
    for place in turns[: max(0, len(turns) - int(keep))]:
        blocks = _blocks(messages[place])
        rest = [each for each in blocks if "thinking" not in str(each.get("type"))]
        if rest and len(rest) < len(blocks):
            messages[place] = _with(messages[place], rest)
            cleared += 1
    return {**body, "messages": messages}, {"cleared_thinking_turns": cleared} if cleared else {}


def _blocks(message: Message) -> Sequence[Mapping[str, Any]]:
    content = message["content"]
    return content if isinstance(content, list) else []


def _with(message: Message, blocks: list[Mapping[str, Any]]) -> Message:
    return {**message, "content": blocks} if blocks else message

"""What a request says, read tolerantly: its turns as text, its tool results, its settings.

Validation is somebody else's: nothing here raises, whatever JSON a body holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = [
    "ToolResult",
    "conversation",
    "last_user_turn",
    "listed",
    "mapped",
    "spoken",
    "system_text",
    "tool_results",
    "user_turns",
]


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came back from one tool: its name, what it said, and whether it failed."""

    tool: str
    text: str
    failed: bool


def mapped(value: object) -> Mapping[str, Any]:
    """Return the value if it is a JSON object, else an empty one."""
    if value is None:  # so are most settings, and to ask what they are would take longest
        return {}
    return value if isinstance(value, (dict, Mapping)) else {}  # a dict is told fastest


def listed(value: object) -> list[Any]:
    """Return the value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def spoken(content: object) -> str:
    """Return the text of a message's content, or of a system prompt."""
    if isinstance(content, str):
        return content
    return " ".join(str(block.get("text", "")) for block in map(mapped, listed(content)))


def user_turns(body: Mapping[str, Any]) -> list[str]:
    """Return the text of the user's turns, oldest first."""
    messages = map(mapped, listed(body.get("messages")))
    return [spoken(each.get("content", "")) for each in messages if each.get("role") == "user"]


def last_user_turn(body: Mapping[str, Any]) -> str:
    """Return the text of the user's last turn, empty where there is none."""
    for each in map(mapped, reversed(listed(body.get("messages")))):
        if each.get("role") == "user":
            return spoken(each.get("content", ""))
    return ""


def system_text(body: Mapping[str, Any]) -> str:
    """Return the text of the system prompt."""
    return spoken(body.get("system", ""))


def conversation(body: Mapping[str, Any]) -> list[str]:
    """Return all that was said, by anybody, oldest first: system prompt, turns, tool results."""
    said = [system_text(body)]
    for message in map(mapped, listed(body.get("messages"))):
        said.append(spoken(message.get("content", "")))
        said.extend(_told(block) for block in _blocks(message, "tool_result"))
    return [each for each in said if each]


def tool_results(body: Mapping[str, Any]) -> list[ToolResult]:
    """Return the tool results of the last message, if it is the user's; else none."""
    messages = [mapped(each) for each in listed(body.get("messages"))]
    if not messages or messages[-1].get("role") != "user":
        return []
    calls = [block for message in messages for block in _blocks(message, "tool_use")]
    names = {str(call.get("id")): str(call.get("name", "")) for call in calls}
    return [
        ToolResult(
            names.get(str(each.get("tool_use_id")), ""), _told(each), bool(each.get("is_error"))
        )
        for each in _blocks(messages[-1], "tool_result")
    ]


def _blocks(message: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    blocks = map(mapped, listed(message.get("content")))
    return [block for block in blocks if block.get("type") == kind]


def _told(result: Mapping[str, Any]) -> str:
    content = result.get("content", "")
    if isinstance(content, str | list):
        return spoken(content)
    return json.dumps(content)

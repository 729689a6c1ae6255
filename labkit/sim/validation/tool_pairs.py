"""Every tool call is answered in the next user turn, and every answer had a call.

Consecutive messages of one role are one turn.  The results of a turn stand together at its
start.  Messages are in the words of the real API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

__all__ = ["tool_pair_problems"]

Placed = tuple[int, int, Mapping[str, Any]]
"""Number of the message, number of the block in it, and the block."""


def tool_pair_problems(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Find calls used twice, unanswered calls, and results without a call or given twice."""
    if all(isinstance(message["content"], str) for message in messages):
        return
    seen: set[str] = set()
    open_calls: dict[str, int] = {}
    for role, turn in _turns(messages):
        if role == "assistant":
            yield from _unanswered(open_calls)
            open_calls = {}
            for place, position, block in turn:
                if block["type"] == "tool_use":
                    if block["id"] in seen:
                        at = f"messages.{place}.content.{position}"
                        yield f"{at}: `tool_use` ids must be unique"
                    seen.add(block["id"])
                    open_calls[block["id"]] = place
        elif role == "user":
            yield from _results(turn, open_calls)
            open_calls = {}
    yield from _unanswered(open_calls)


def _results(turn: Sequence[Placed], open_calls: Mapping[str, int]) -> Iterator[str]:
    answered: set[str] = set()
    leading = True
    for place, position, block in turn:
        if block["type"] != "tool_result":
            leading = False
            continue
        name, at = block["tool_use_id"], f"messages.{place}.content.{position}"
        if name not in open_calls:
            yield (
                f"{at}: unexpected `tool_use_id` found in `tool_result` blocks: {name}. Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous "
                "message."
            )
        if name in answered:
            yield (
                f"{at}: each tool_use must have a single result. Found multiple `tool_result` "
                f"blocks with id: {name}"
            )
        if leading:
            answered.add(name)
    yield from _unanswered({name: at for name, at in open_calls.items() if name not in answered})


def _unanswered(open_calls: Mapping[str, int]) -> Iterator[str]:
    if open_calls:
        place = next(iter(open_calls.values()))
        missing = ", ".join(name for name, at in open_calls.items() if at == place)
        yield (
            f"messages.{place}: `tool_use` ids were found without `tool_result` blocks "
            f"immediately after: {missing}. Each `tool_use` block must have a corresponding "
            "`tool_result` block in the next message."
        )


def _turns(messages: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[Placed]]]:
    numbered = enumerate(messages)
    for role, group in groupby(numbered, key=lambda pair: pair[1]["role"]):
        yield (
            role,
            [
                (place, position, block)
                for place, message in group
                for position, block in enumerate(_blocks(message["content"]))
            ],
        )


def _blocks(content: object) -> list[Mapping[str, Any]]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []

"""What summaries are made of: the records, and how summaries and turns are spelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from labkit.context.transcripts import transcript

__all__ = ["HEADING", "Message", "Size", "Summary", "Task", "begins", "spoken", "told"]

Message: TypeAlias = Mapping[str, Any]
Size: TypeAlias = Callable[[Message], int]
"""Estimates the tokens of one message."""

HEADING = "Summary of the conversation so far:"
EARLIER = "Earlier summary:"


@dataclass(frozen=True, slots=True)
class Summary:
    """What is left of the messages from `first` up to, not including, `end`.

    `level` is 0 where it was made from turns, one more than theirs where from summaries.
    """

    first: int
    end: int
    text: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """What to sum up: `prompt` is its text, and the summary replaces the last so many others."""

    prompt: str
    first: int
    end: int
    level: int
    replaces: int
    tokens: int
    """Estimated tokens of what the summary stands for; one that is not shorter is no use."""


def begins(message: Message) -> bool:
    """Say whether an exchange begins here: a user's turn that answers no tool call."""
    content = message["content"]
    blocks = content if isinstance(content, list | tuple) else ()
    answers = any(isinstance(each, dict) and each.get("type") == "tool_result" for each in blocks)
    return message["role"] == "user" and not answers


def spoken(texts: Sequence[str]) -> Message:
    """Return the user's turn in which summaries are sent."""
    text = "\n".join([HEADING, *texts])
    return {"role": "user", "content": [{"type": "text", "text": text}]}


def told(summaries: Sequence[Summary], turns: Sequence[Message]) -> str:
    """Return summaries and turns as the text that is to be summed up."""
    earlier = [f"{EARLIER} {each.text}" for each in summaries]
    return "\n".join([*earlier, transcript(turns)] if turns else earlier)

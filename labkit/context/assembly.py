"""A request put together after a cut, and what of a request the prompt cache depends on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from labkit.context.estimates import blocks_of
from labkit.context.history import Cut, History, Message

__all__ = ["assembled", "bare_message", "carried_places", "is_cached", "is_marked", "same_message"]


def assembled(messages: Sequence[Message], cut: Cut, history: History) -> list[Message]:
    """Return what is sent: pinned exchanges, the question, system turns, and the rest.

    A system turn must follow a user's and precede the assistant's (or end the list), so those
    that fell before the cut stand right after the first question.  They lose their breakpoint:
    what it marked is gone, and it could come after one of a shorter lifetime.
    """
    pinned = [message for first, end in history.pins[: cut.pins] for message in messages[first:end]]
    systems = [bare_message(messages[place]) for place in history.systems[: cut.systems]]
    if cut.head:
        question: Sequence[Message] = [messages[place] for place in cut.head]
        return [*pinned, *question, *systems, *messages[cut.start :]]
    end = cut.start + _length_of_question(messages, cut.start)
    return [*pinned, *messages[cut.start : end], *systems, *messages[end:]]


def carried_places(cut: Cut, history: History) -> Iterator[int]:
    """Yield the places of all messages before the cut that are sent nevertheless."""
    for first, end in history.pins[: cut.pins]:
        yield from range(first, end)
    yield from history.systems[: cut.systems]
    yield from cut.head


def same_message(one: Message, other: Message) -> bool:
    """Say whether two messages say the same; a breakpoint that moved changes nothing."""
    if one is other or one == other:
        return True
    return isinstance(one, Mapping) and bare_message(one) == bare_message(other)


def is_cached(body: Mapping[str, Any]) -> bool:
    """Say whether the request has a prompt cache breakpoint at its end."""
    return bool(body.get("cache_control")) or _has_breakpoint(body["messages"][-1].get("content"))


def is_marked(body: Mapping[str, Any]) -> bool:
    """Say whether tools or the system prompt end at a breakpoint of their own."""
    return _has_breakpoint(body.get("system")) or _has_breakpoint(body.get("tools"))


def _length_of_question(messages: Sequence[Message], start: int) -> int:
    """Count the user's messages from `start` on, with any system turns between them."""
    length = 0
    for place in range(start, len(messages)):
        if messages[place]["role"] == "assistant":
            break
        if messages[place]["role"] == "user":
            length = place + 1 - start
    return length


def bare_message(message: Message) -> Message:
    """Return a message without its breakpoints; what is said is spelled in one way."""
    plain = [
        {name: value for name, value in block.items() if name != "cache_control"}
        for block in blocks_of(message.get("content"))
    ]
    return {**message, "content": plain}


def _has_breakpoint(content: object) -> bool:
    return not isinstance(content, str) and any(
        block.get("cache_control") for block in blocks_of(content)
    )

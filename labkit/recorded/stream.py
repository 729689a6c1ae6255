"""What a server-sent event stream adds up to: one message, an error, or a stump.

The last `message_delta` holds the final, cumulative usage; how cache writes split into five
minutes and one hour is told in `message_start` alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Streamed", "is_event_stream", "read_streams"]

WRITES = "cache_creation_input_tokens"
SPLIT = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


@dataclass(slots=True)
class Streamed:
    """The end of one stream.

    `message` is the message as far as it came, None if none began; `final` says that its
    usage is the final one; `error` is what an error event said.
    """

    message: dict[str, Any] | None = None
    final: bool = False
    error: Mapping[str, Any] | None = field(default=None)


def is_event_stream(text: str) -> bool:
    """Say whether a text opens like server-sent events."""
    return text.lstrip().startswith(("event:", "data:", ": "))


def read_streams(text: str) -> list[Streamed]:
    """Read every stream in a text; each `message_start` begins a new one."""
    found = []
    current = Streamed()
    for event in _events(text):
        if event.get("type") == "message_start" and current != Streamed():
            found.append(current)
            current = Streamed()
        _apply(current, event)
    return [*found, current] if current != Streamed() else found


def _events(text: str) -> Iterator[Mapping[str, Any]]:
    """Give the JSON object of each event; a cut or foreign one is passed over."""
    data: list[str] = []
    for line in [*re.split(r"\r\n|\n|\r", text), ""]:
        if line.startswith("data:"):
            data.append(line.removeprefix("data:"))
        elif not line and data:
            try:
                event = json.loads("\n".join(data))
            except (ValueError, RecursionError):
                event = None
            data = []
            if isinstance(event, Mapping):
                yield event


def _apply(stream: Streamed, event: Mapping[str, Any]) -> None:
    kind = event.get("type")
    if kind == "error":
        stream.error = event
    elif kind == "message_start" and isinstance(event.get("message"), Mapping):
        stream.message = dict(event["message"])
        stream.message["content"] = []
    elif stream.message is None:
        return
    elif kind == "content_block_start":
        stream.message["content"].append(event.get("content_block"))
    elif kind == "message_delta":
        delta, usage = event.get("delta"), event.get("usage")
        stream.message |= delta if isinstance(delta, Mapping) else {}
        if isinstance(usage, Mapping):
            stream.message["usage"] = _merged(stream.message.get("usage"), usage)
            stream.final = True


def _merged(start: object, delta: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a delta's usage over what is known, its silence meaning "as before"."""
    before = dict(start) if isinstance(start, Mapping) else {}
    after = before | {name: value for name, value in delta.items() if value is not None}
    if delta.get("cache_creation") is None and after.get(WRITES) != before.get(WRITES):
        after["cache_creation"] = _split(before, after)
    return after


def _split(before: Mapping[str, Any], after: Mapping[str, Any]) -> object:
    """Find the split that fits a new total: the sub-calls' sum, or the start's if not above it."""
    entries = after.get("iterations")
    own = [
        entry["cache_creation"]
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, Mapping)
        and entry.get("type") == "message"
        and isinstance(entry.get("cache_creation"), Mapping)
    ]
    summed = {name: sum(_number(split.get(name)) for split in own) for name in SPLIT}
    if own and sum(summed.values()) == after.get(WRITES):
        return summed
    start = before.get("cache_creation")
    if not isinstance(start, Mapping):
        return None
    announced = sum(_number(start.get(name)) for name in SPLIT)
    return start if announced <= _number(after.get(WRITES)) else None


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0

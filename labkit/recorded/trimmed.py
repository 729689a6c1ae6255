"""How much shorter recorded prompts would have been, had their conversations been trimmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.context import Blocks, Window
from labkit.errors import LabkitError
from labkit.recorded.call import RecordedCall

__all__ = ["can_be_read", "shares_left"]


def shares_left(calls: Sequence[RecordedCall], most: int) -> list[float | None]:
    """Return which part of each prompt is left if blocks are cut above `most` tokens.

    The calls of one file and model are read as one conversation.  None is "cannot be told": the
    request was not recorded, or no valid one can be made of it.  Raises `UserError` for a `most`
    below 2.
    """
    windows: dict[tuple[str, str], Window] = {}
    policy = Blocks(high=most, low=most // 2)
    return [
        _share(windows.setdefault((call.file, str(call.model)), Window(policy)), call.request)
        for call in calls
    ]


def _share(window: Window, body: Mapping[str, Any]) -> float | None:
    if not can_be_read(body):
        return None
    try:
        fitted = window.fit(body)
    except (LabkitError, LookupError, TypeError, AttributeError):
        return None  # recorded bodies may be anything
    return fitted.tokens / fitted.whole if fitted.dropped and fitted.whole else 1.0


def can_be_read(body: Mapping[str, Any]) -> bool:
    """Say whether a recorded body holds messages."""
    messages = body.get("messages")
    return isinstance(messages, list) and bool(messages)

"""One turn as the archive keeps it: JSON text to be sent again, and words to be found again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from labkit.errors import UserError

__all__ = ["ROLES", "said_in", "spelled"]

ROLES = ("user", "assistant", "system")


def spelled(message: Mapping[str, Any]) -> str:
    """Return a message as JSON; the SDK's own content blocks may stand in it.

    Raises `UserError` for anything that is no message: an unknown role, no content, values that
    JSON has no word for.
    """
    if not isinstance(message, Mapping):
        raise UserError(
            f"A turn is a message with a role and content, not {type(message).__name__}."
        )
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise UserError(f"A turn's role is one of {', '.join(ROLES)}, not {role!r:.40}.")
    if not isinstance(content, str | list | tuple) or (not content and role != "system"):
        raise UserError(f"A turn of role {role!r} has text or a list of content blocks, and some.")
    try:
        return json.dumps(message, default=_plain, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(f"This turn cannot be kept as JSON: {error}.") from None


def said_in(message: Mapping[str, Any]) -> str:
    """Return the words of a message: its texts and what its tools answered, in order."""
    return "\n".join(_texts(message.get("content")))


def _texts(content: object) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    for block in content if isinstance(content, list) else ():
        if isinstance(block, Mapping):
            if block.get("type") == "text":
                yield str(block.get("text", ""))
            elif block.get("type") == "tool_result":
                yield from _texts(block.get("content"))


def _plain(value: object) -> Any:
    """Spell what JSON does not know: the SDK's models say themselves what they were sent as."""
    if isinstance(value, Mapping):
        return dict(value)
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict):
        return to_dict(mode="json")
    raise TypeError(f"{type(value).__name__} is no content of a message")

"""What kind of reply a JSON object is, told by its own shape, and a word on those without tokens.

A plain Message or a line of batch results stands in its file with no request beside it, so
the path cannot be what decides.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["kind_of", "note_on", "printable"]

KINDS = {
    "message": "message",
    "message_batch": "batch",
    "message_batch_deleted": "batch",
    "model": "models",
    "completion": "complete",
    "error": "error",
}
COUNT_KEYS = {"input_tokens", "context_management"}


def kind_of(value: Mapping[str, object]) -> str | None:
    """Name the kind of a reply, None when it is nothing the Messages API sends."""
    named = KINDS.get(str(value.get("type")))
    if named:
        return named
    if "custom_id" in value and isinstance(value.get("result"), Mapping):
        return "batch_result"
    if "input_tokens" in value and value.keys() <= COUNT_KEYS:
        return "count_tokens"
    listed = value.get("data")
    if isinstance(listed, list) and listed and isinstance(listed[0], Mapping):
        inner = KINDS.get(str(listed[0].get("type")))
        return inner if inner in ("batch", "models") else None
    return "error" if _is_error(value) else None


def _is_error(value: Mapping[str, object]) -> bool:
    """Tell the API's error object also where a proxy dropped its outer type."""
    error = value.get("error")
    return isinstance(error, Mapping) and {"type", "message"} <= error.keys()


def note_on(kind: str, value: Mapping[str, object]) -> str:
    """Say what a reply without usage is, and so why it has no cost."""
    listed = value.get("data")
    if kind == "error":
        error = value.get("error")
        fields = error if isinstance(error, Mapping) else {}
        return printable(f"{fields.get('type', 'error')}: {fields.get('message', 'no message')}")
    if kind == "count_tokens":
        return printable(f"counted {value['input_tokens']} input tokens; counting is free")
    if kind == "complete":
        return "the legacy completions reply reports no tokens"
    if isinstance(listed, list):
        return f"a list of {len(listed)}, no tokens used"
    if kind == "batch":
        status = value.get("processing_status") or "deleted"
        return printable(f"batch {status}; tokens stand in its results")
    return "a description, no tokens used"


def printable(text: str, longest: int = 160) -> str:
    """Make recorded text safe for a terminal: no control characters, one line, not too long."""
    line = "".join(character if character.isprintable() else " " for character in text)
    line = " ".join(line.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"

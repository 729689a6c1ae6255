"""A secret that a stream spells in pieces is found in the joined text, not in any one event."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from labkit.lab.scrub import scrub_text

__all__ = ["scrub_deltas"]

SPOKEN = ("text", "thinking", "partial_json")
"""What a delta may hold a piece of."""


def scrub_deltas(events: Sequence[bytes]) -> list[bytes]:
    """Return the events of a stream with no secret left between two of them.

    Where one is found, the first delta of its block says the whole scrubbed text and the others
    say nothing, so that the joined text is the same as if the answer had not been streamed.
    """
    mended = list(events)
    blocks: dict[tuple[int, str], list[tuple[int, dict[str, Any]]]] = {}
    for place, event in enumerate(events):
        data = _delta(event)
        field = next((name for name in SPOKEN if data and name in data["delta"]), None)
        if data and field:
            blocks.setdefault((data.get("index", 0), field), []).append((place, data))
    for (_, field), pieces in blocks.items():
        spoken = [str(data["delta"][field]) for _, data in pieces]
        whole = scrub_text("".join(spoken))
        if whole != "".join(scrub_text(piece) for piece in spoken):
            for place, data in pieces:
                mended[place] = _spelled({**data, "delta": {**data["delta"], field: whole}})
                whole = ""
    return mended


def _delta(event: bytes) -> dict[str, Any] | None:
    if not event.startswith(b"event: content_block_delta\ndata:"):
        return None
    try:
        data = json.loads(event.partition(b"\ndata:")[2])
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) and isinstance(data.get("delta"), dict) else None


def _spelled(data: dict[str, Any]) -> bytes:
    text = json.dumps(data, separators=(",", ":"))
    return f"event: content_block_delta\ndata: {text}\n\n".encode()

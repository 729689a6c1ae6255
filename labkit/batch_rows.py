"""What a row of a batch must be, judged before anything is sent.

The API judges `params` only when a row's turn comes, perhaps hours later (claude-api.md 6), and
a repeated or malformed `custom_id` refuses the whole batch.  So both are looked at here first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from labkit.errors import UserError

__all__ = ["LARGEST_BATCH", "MOST_ROWS", "Row", "read_row", "spelled"]

Row = Mapping[str, Any]
"""A row as the API has it: `{"custom_id": ..., "params": {...}}`, a Messages body inside."""
MOST_ROWS = 100_000
LARGEST_BATCH = 256 * 1000 * 1000
"""Rows and bytes of one batch (claude-api.md 6); a MB is read as the smaller one."""

CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
NEEDED = ("model", "max_tokens", "messages")
NEVER = ("stream", "speed", "thread")
"""Not allowed inside a batch (claude-api.md 6)."""


def read_row(place: int, row: object) -> tuple[str, str]:
    """Return the `custom_id` of a row and its `params` as JSON; `place` counts from 1.

    Raises `UserError` with one sentence that names the row and what is wrong with it.
    """
    if not isinstance(row, Mapping) or set(row) != {"custom_id", "params"}:
        raise UserError(f"Row {place} must have a custom_id and params, and nothing else.")
    custom_id, params = row["custom_id"], row["params"]
    if not isinstance(custom_id, str) or not CUSTOM_ID.fullmatch(custom_id):
        raise UserError(
            f"Row {place} has the custom_id {custom_id!r:.80}: it must be 1 to 64 letters, "
            "digits, hyphens or underscores."
        )
    complaint = _complaint(params)
    if complaint is not None:
        raise UserError(f"Row {place} ({custom_id}) {complaint}.")
    try:
        text = spelled(params)
        size = len(text.encode())
    except (TypeError, ValueError) as error:
        raise UserError(f"Row {place} ({custom_id}) is not plain JSON: {error}.") from None
    if size > LARGEST_BATCH - 1000:
        raise UserError(f"Row {place} ({custom_id}) is larger than a whole batch may be: 256 MB.")
    return custom_id, text


def spelled(value: object) -> str:
    """Return the one JSON spelling of a value: keys in the order given, no spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _complaint(params: object) -> str | None:
    if not isinstance(params, Mapping):
        return "has params that are no Messages request"
    missing = [name for name in NEEDED if params.get(name) is None]
    if missing:
        return f"has params without {' and '.join(missing)}"
    unwanted = [name for name in NEVER if params.get(name)]
    if unwanted:
        return f"asks for {' and '.join(unwanted)}, which no batch takes"
    most = params["max_tokens"]
    if not isinstance(most, int) or most < 1:
        return f"has max_tokens of {most!r:.20}, but an answer needs one token at least"
    return None

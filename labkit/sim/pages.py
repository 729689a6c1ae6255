"""Pages of a list: a limit and a cursor in, `data`, `has_more`, `first_id` and `last_id` out.

Parameters and body are those of the Models and Message Batches APIs (claude-api.md 1.6, 6).
Left open there and decided here: `has_more` looks in the direction of the cursor, and both
cursors at once, or one that is not in the list, are a 400.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.sim.problem import ApiError, invalid

__all__ = ["Query", "page"]

Query = Mapping[str, Sequence[str]]
"""Query parameters as `urllib.parse.parse_qs` gives them."""
USUAL, MOST = 20, 1000


def page(items: Sequence[Mapping[str, Any]], query: Query) -> dict[str, Any] | ApiError:
    """Return the page a query asks for of items that each have an `id`, in their order."""
    limit = _limit(query)
    if isinstance(limit, ApiError):
        return limit
    after, before = _last(query, "after_id"), _last(query, "before_id")
    if after is not None and before is not None:
        return invalid("Only one of after_id and before_id may be given")
    places = {item["id"]: place for place, item in enumerate(items)}
    cursor = after if after is not None else before
    if cursor is not None and cursor not in places:
        return invalid(f"{'before_id' if after is None else 'after_id'}: '{cursor}' is not known")
    if before is not None:
        end = places[before]
        start = max(0, end - limit)
        has_more = start > 0
    else:
        start = places[after] + 1 if after is not None else 0
        end = start + limit
        has_more = end < len(items)
    data = list(items[start:end])
    ids = [item["id"] for item in data] or [None]
    return {"data": data, "has_more": has_more, "first_id": ids[0], "last_id": ids[-1]}


def _limit(query: Query) -> int | ApiError:
    text = _last(query, "limit")
    if text is None:
        return USUAL
    if not (text.isascii() and text.removeprefix("-").isdigit()) or len(text) > 9:
        return invalid("limit: Input should be a valid integer")
    if int(text) < 1:
        return invalid("limit: Input should be greater than or equal to 1")
    if int(text) > MOST:
        return invalid(f"limit: Input should be less than or equal to {MOST}")
    return int(text)


def _last(query: Query, name: str) -> str | None:
    values = query.get(name)
    return values[-1] if values else None

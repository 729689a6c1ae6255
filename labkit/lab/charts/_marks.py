"""Small pieces every drawing uses: rows of figures, and channels that hold what to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["literal", "rows_of"]


def rows_of(rows: Sequence[dict[str, Any]]) -> Any:
    """Start an Altair chart from plain rows."""
    import altair as alt

    return alt.Chart(alt.InlineData(values=list(rows)))


def literal(channel: Any, field: str) -> Any:
    """Encode a field that holds the very pixel (x, y), size, colour or shape to draw."""
    if field in ("x", "y"):
        return channel(f"{field}:Q", scale=None, axis=None)
    if field == "size":
        return channel(f"{field}:Q", scale=None)
    return channel(f"{field}:N", scale=None)

"""Rows that are dataclasses, as a pandas table with a column for every field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_of"]


def frame_of(rows: Sequence[object], kind: type) -> pd.DataFrame:
    """Return one line a row; whole numbers that may be missing stay whole numbers (`Int64`)."""
    import pandas as pd

    columns = {}
    for each in fields(kind):
        whole_number = each.type == "int | None"
        values = [getattr(row, each.name) for row in rows]
        columns[each.name] = pd.Series(values, dtype="Int64" if whole_number else None)
    return pd.DataFrame(columns)

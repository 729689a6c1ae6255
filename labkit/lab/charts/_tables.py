"""What a chart asks of its table, said in one clear sentence where it is not so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["finite", "known", "needed", "numbers", "said"]


def needed(table: object, *names: str) -> pd.DataFrame:
    """Copy the named columns of a table that has rows, numbered from 0."""
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        raise UserError(f"A chart draws a pandas DataFrame, and this is a {type(table).__name__}.")
    missing = [name for name in names if name not in table.columns]
    if missing:
        columns = ", ".join(map(str, table.columns)) or "no columns"
        raise UserError(f"The table has no column {missing[0]!r}; it has {columns}.")
    if table.empty:
        raise UserError("There is nothing to draw: the table has no rows.")
    return table[list(dict.fromkeys(names))].reset_index(drop=True)


def numbers(table: pd.DataFrame, *names: str) -> None:
    """Refuse a column that holds no finite numbers, or anything else besides gaps."""
    import math

    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    for name in names:
        column = table[name]
        if is_bool_dtype(column) or not is_numeric_dtype(column):
            raise UserError(f"The column {name!r} must hold numbers, and it holds {column.dtype}.")
        if column.isna().all():
            raise UserError(f"The column {name!r} holds no number in any row.")
        if any(math.isinf(value) for value in column.dropna()):
            raise UserError(f"The column {name!r} holds an infinite number, which has no place.")


def known(table: pd.DataFrame, name: str, values: Any) -> None:
    """Refuse a column with a word that is not one of the known values."""
    strange = next((word for word in table[name] if word not in values), None)
    if strange is not None:
        choices = ", ".join(values)
        raise UserError(f"The column {name!r} holds {strange!r}; it may hold {choices}.")


def finite(what: str, number: object) -> float:
    """Return a number that must be one, and not infinite."""
    import math
    from numbers import Real

    if isinstance(number, bool) or not isinstance(number, Real) or not math.isfinite(number):
        raise UserError(f"A chart needs {what} as a number, and this is {number!r}.")
    return float(number)


def said(what: str, text: object) -> str:
    """Return a text that must be there, such as a title, without the space around it."""
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"A chart needs {what} in words, and this is {text!r}.")
    return text.strip()

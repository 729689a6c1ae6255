"""Curves, each named where it ends, with at most one thing pointed out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labkit.errors import UserError
from labkit.lab.charts._axes import Axis, linear, logarithmic
from labkit.lab.charts._chart import Chart
from labkit.lab.charts._curve_drawn import Picture, drawn
from labkit.lab.charts._svg import render
from labkit.lab.charts._tables import finite, needed, numbers, said
from labkit.lab.charts._theme import SERIES
from labkit.lab.charts._words import amount, listed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["curve"]

MOST_ROWS = 5000
MOST_TOLD = 4

Marker = tuple[float, str] | tuple[float, float, str]


def curve(
    table: pd.DataFrame,
    x: str,
    y: str,
    *,
    series: str | None = None,
    x_title: str,
    y_title: str,
    title: str,
    alt: str | None = None,
    log_y: bool = False,
    marker: Marker | None = None,
) -> Chart:
    """Draw the column `y` over the column `x`, a line for each value of the column `series`.

    Rows may come in any order; a row without a number is a gap.  The y axis starts at zero
    unless `log_y`.  `marker` points one thing out: `(x, words)` draws a vertical rule,
    `(x, y, words)` a ring around a point.  At most 8 lines and 5,000 rows.

    Raises UserError for what cannot be drawn.
    """
    title, titles = (
        said("a title", title),
        (said("an x title", x_title), said("a y title", y_title)),
    )
    names = [x, y] if series is None else [series, x, y]
    figures = needed(table, *names)
    numbers(figures, x, y)
    figures = figures.dropna().reset_index(drop=True)
    lines = _lines(figures, x, y, series)
    marks = _mark(marker)
    axis = _axis(figures[y], marks, log_y=log_y)
    words = said("its alt text", alt) if alt is not None else _described(lines, titles, marks)
    picture = drawn(Picture(lines, axis, *titles, marks))
    return Chart(render(picture, title, words), words, figures)


def _lines(figures: pd.DataFrame, x: str, y: str, series: str | None) -> dict[str, list[Any]]:
    if figures.empty:
        raise UserError("There is nothing to draw: no row holds all of its figures.")
    if len(figures) > MOST_ROWS:
        raise UserError(
            f"A chart draws at most {MOST_ROWS:,} rows, and there are {len(figures):,}."
        )
    groups = figures.groupby(series, sort=False) if series is not None else [("", figures)]
    lines = {
        str(name): sorted(zip(rows[x].astype(float), rows[y].astype(float), strict=True))
        for name, rows in groups
    }
    if len(lines) > len(SERIES):
        raise UserError(
            f"A chart tells {len(SERIES)} lines apart, and this table has {len(lines)}."
        )
    return lines


def _mark(marker: Marker | None) -> tuple[float, float | None, str] | None:
    """Bring both kinds of marker into one form, without a y for a rule."""
    if marker is None:
        return None
    if not isinstance(marker, tuple) or len(marker) not in (2, 3):
        raise UserError(f"A marker is (x, words) or (x, y, words), and this is {marker!r}.")
    across, up = finite("its marker's x", marker[0]), None
    if len(marker) == 3:
        up = finite("its marker's y", marker[1])
    return across, up, said("its marker", marker[-1])


def _axis(values: pd.Series[float], marks: Any, *, log_y: bool) -> Axis:
    up = [marks[1]] if marks and marks[1] is not None else []
    low, high = (float(end) for end in (min([values.min(), *up]), max([values.max(), *up])))
    if log_y and low <= 0:
        raise UserError(f"A logarithmic axis needs figures above zero, and one is {low:g}.")
    return logarithmic(low, high) if log_y else linear(low, high)


def _described(
    lines: dict[str, list[Any]], titles: tuple[str, str], marks: tuple[float, Any, str] | None
) -> str:
    """Say the course of a few lines, or where many end."""
    text = f"Line chart of {titles[1]} over {titles[0]}"
    if len(lines) <= MOST_TOLD:
        told = [f"{name or 'it'} {_course(points)}" for name, points in lines.items()]
        text = f"{text}: {'; '.join(told)}."
    else:
        ranked = sorted((points[-1][1], name) for name, points in lines.items())
        least, most = (f"{name} ({amount(end)})" for end, name in (ranked[0], ranked[-1]))
        text = f"{text}, {len(lines)} lines: at their ends, {least} is lowest and {most} highest."
    return f"{text} Marked at {amount(marks[0])}: {marks[2]}." if marks else text


def _course(points: list[tuple[float, float]]) -> str:
    """Say where a line starts and ends, and its peak or dip where that is elsewhere."""
    (left, start), (right, end) = points[0], points[-1]
    if len(points) == 1:
        return f"is {amount(start)} at {amount(left)}"
    verb = "rises from" if end > start else "falls from" if end < start else "starts at"
    course = f"{verb} {amount(start)} at {amount(left)} to {amount(end)} at {amount(right)}"
    turns = []
    for name, pick in (("highest", max), ("lowest", min)):
        at, value = pick(points, key=lambda point: point[1])
        if value not in (start, end):
            turns.append(f"{name} {amount(value)} at {amount(at)}")
    return f"{course} ({listed(turns)})" if turns else course

"""The plan of a request timeline: which client's lanes go where, on which time axis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from labkit.lab.charts._lane import Lane, Marks, Scale, Sizes, place
from labkit.lab.charts._theme import GAP, INNER, OUTCOMES, WAITING, Look, text_width
from labkit.lab.charts._words import time_unit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_LANES", "Layout", "Panel", "lane_names", "layout"]

MOST_LANES = 120
MOST_STACKED = 32
"""Clients stand above each other, on one time axis, up to this many lanes; then side by side."""
STEPS = ((8, 28.0), (16, 23.0), (32, 17.0), (64, 11.5), (MOST_LANES, 6.0))
"""Height of a lane in pixels for up to so many lanes in a column."""
MARGIN = 44
"""Room in pixels at the right for the shape and the word after the last bar."""


class Panel(NamedTuple):
    """One client's lanes, from the top, and everything on them."""

    name: str | None
    lanes: list[str]
    marks: Marks


class Layout(NamedTuple):
    """A whole timeline; `gutter` is the room for the names of its lanes, in pixels."""

    panels: list[Panel]
    looks: list[Look]
    scale: Scale
    sizes: Sizes
    gutter: float
    stacked: bool
    deadline: float | None


def lane_names(calls: Iterable[object]) -> list[str]:
    """Name the lanes: a call that is only a number is told what it is."""
    return [call if isinstance(call, str) else f"call {call}" for call in calls]


def layout(table: pd.DataFrame, deadline: float | None) -> Layout:
    """Place every attempt of a checked table."""
    table = table.assign(lane=lane_names(table["call"]))
    clients: list[tuple[str | None, pd.DataFrame]] = [(None, table)]
    if "client" in table.columns:
        clients = [(str(name), rows) for name, rows in table.groupby("client", sort=False)]
    counts = [rows["lane"].nunique() for _, rows in clients]
    stacked = sum(counts) <= MOST_STACKED or len(clients) == 1
    in_column = sum(counts) if stacked else max(counts)
    sizes = Sizes(next(step for most, step in STEPS if in_column <= most))
    gutter = min(150.0, max(map(text_width, table["lane"]))) + 8
    columns = 1 if stacked else len(clients)
    scale = _scale(table, deadline, (INNER - GAP * (columns - 1)) / columns - gutter)
    panels = [_panel(name, rows, scale, sizes) for name, rows in clients]
    looks = [look for name, look in OUTCOMES.items() if (table["outcome"] == name).any()]
    looks += [WAITING] * any(panel.marks.waits for panel in panels)
    return Layout(panels, looks, scale, sizes, gutter, stacked, deadline)


def _scale(table: pd.DataFrame, deadline: float | None, width: float) -> Scale:
    points = [float(table["start_s"].min()), float(table["end_s"].max())]
    points += [deadline] if deadline is not None else []
    low, high = min(points), max(points)
    if 0 < low <= 0.2 * high:
        low = 0.0
    unit, unit_s = time_unit(high - low)
    length = (high - low) * width / (width - MARGIN) or unit_s
    return Scale(low, low + length, width, unit, unit_s)


def _panel(name: str | None, rows: pd.DataFrame, scale: Scale, sizes: Sizes) -> Panel:
    marks = Marks([], [], [], [])
    ordered = rows.sort_values(["start_s", "attempt"], kind="stable")
    for lane, attempts in ordered.groupby("lane", sort=False):
        told = attempts.to_dict("records")
        for attempt, after in zip(told, [*told[1:], None], strict=True):
            place(attempt, after, Lane(str(lane), scale, sizes, marks))
    return Panel(name, list(dict.fromkeys(rows["lane"])), marks)

"""Where everything on a request timeline goes: lanes, bars, waits and the words beside them.

Worked out in pixels before anything is drawn, because whether a word has room depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.lab.charts._theme import (
    GAP,
    LABEL_SIZE,
    OUTCOMES,
    PADDING,
    WAITING,
    WIDTH,
    Look,
    text_width,
)
from labkit.lab.charts._words import time_unit

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MOST_LANES", "Layout", "Panel", "Scale", "lane_names", "layout"]

MOST_LANES = 120
MOST_STACKED = 32
"""Clients stand above each other, on one time axis, up to this many lanes; then side by side."""
STEPS = ((8, 28.0), (16, 23.0), (32, 17.0), (64, 11.5), (MOST_LANES, 6.0))
"""Height of a lane in pixels for up to so many lanes in a column."""


class Scale(NamedTuple):
    """The time axis: seconds from `low` to `high` over `width` pixels, shown in one unit."""

    low: float
    high: float
    width: float
    unit: str
    unit_s: float

    def pixels(self, seconds: float) -> float:
        """Turn a length of time into a length on the screen."""
        return seconds * self.width / (self.high - self.low)

    def shown(self, seconds: float) -> float:
        """Turn a point in time into the axis's unit."""
        return seconds / self.unit_s


class Panel(NamedTuple):
    """One client's lanes: rows of `bars`, `waits`, `ends` and `words`, ready to draw."""

    name: str | None
    lanes: list[str]
    bars: list[dict[str, Any]]
    waits: list[dict[str, Any]]
    ends: list[dict[str, Any]]
    words: list[dict[str, Any]]


class Layout(NamedTuple):
    """A whole timeline; `step` is a lane's height and `gutter` the room for its name."""

    panels: list[Panel]
    scale: Scale
    step: float
    gutter: float
    stacked: bool
    deadline: float | None

    @property
    def mark(self) -> float:
        """Half the width of the shape that ends a bar, in pixels."""
        return min(4.6, self.step * 0.34)

    @property
    def letters(self) -> float:
        """Size of the status words in pixels; 0 where a lane is too low for words."""
        size = min(LABEL_SIZE - 1, self.step - 6)
        return size if size >= 8 else 0.0

    @property
    def looks(self) -> list[Look]:
        """The kinds of ending on this timeline, and waiting, in the order of the legend."""
        found = {row["ended"] for panel in self.panels for row in panel.ends}
        looks = [look for look in OUTCOMES.values() if look.words in found]
        return looks + [WAITING] * any(panel.waits for panel in self.panels)


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
    stacked = sum(counts) <= MOST_STACKED
    in_column = sum(counts) if stacked else max(counts)
    step = next(step for most, step in STEPS if in_column <= most)
    gutter = min(150.0, max(map(text_width, table["lane"]))) + 12
    columns = 1 if stacked else len(clients)
    width = (WIDTH - 2 * PADDING - GAP * (columns - 1)) / columns - gutter
    scale = _scale(table, deadline, width)
    empty = Layout([], scale, step, gutter, stacked, deadline)
    return empty._replace(panels=[_panel(name, rows, empty) for name, rows in clients])


def _scale(table: pd.DataFrame, deadline: float | None, width: float) -> Scale:
    points = [table["start_s"].min(), table["end_s"].max()]
    low, high = min(points + [deadline or points[0]]), max(points + [deadline or points[1]])
    if 0 <= low <= 0.2 * high:
        low = 0.0
    unit, unit_s = time_unit(high - low)
    # Room at the right for the shape and the word that end the last bar.
    length = (high - low) * width / (width - 30) or unit_s
    return Scale(float(low), float(low + length), width, unit, unit_s)


def _panel(name: str | None, rows: pd.DataFrame, plan: Layout) -> Panel:
    panel = Panel(name, list(dict.fromkeys(rows["lane"])), [], [], [], [])
    ordered = rows.sort_values(["start_s", "attempt"], kind="stable")
    for lane, attempts in ordered.groupby("lane", sort=False):
        _place(panel, str(lane), attempts.to_dict("records"), plan)
    return panel


def _place(panel: Panel, lane: str, attempts: Sequence[dict[Any, Any]], plan: Layout) -> None:
    shown = plan.scale.shown
    for attempt, after in zip(attempts, [*attempts[1:], None], strict=True):
        start, end = attempt["start_s"], attempt["end_s"]
        row = {"lane": lane, "start": shown(start), "end": shown(end)}
        row["ended"] = OUTCOMES[attempt["outcome"]].words
        row["within"] = plan.scale.pixels(end - start) >= 2 * plan.mark + 5
        panel.bars.append(row)
        panel.ends.append(row)
        until = after["start_s"] if after else plan.scale.high
        if after and until > end:
            panel.waits.append({"lane": lane, "start": shown(end), "end": shown(until)})
        word = _word(attempt, until, plan)
        if word:
            panel.words.append({"lane": lane, "ended": row["ended"], **word})


def _word(attempt: dict[Any, Any], until: float, plan: Layout) -> dict[str, Any] | None:
    """Put the status into the bar, else behind it, else nowhere: the shape still tells."""
    text = str(attempt["label"])
    if not plan.letters or text in ("", "None", "nan", "<NA>"):
        return None
    start, end = attempt["start_s"], attempt["end_s"]
    scale, room = plan.scale, text_width(text, plan.letters) + 3 * plan.mark
    if scale.pixels(end - start) >= room:
        aside = plan.mark / scale.pixels(1.0)
        return {"at": scale.shown((start + end) / 2 - aside), "text": text, "inside": True}
    if scale.pixels(until - end) >= room:
        return {"at": scale.shown(end), "text": text, "inside": False}
    return None

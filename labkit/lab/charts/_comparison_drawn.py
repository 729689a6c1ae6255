"""A comparison as an Altair chart: bars, and the figure at the end of each."""

from __future__ import annotations

from typing import Any, NamedTuple

from labkit.lab.charts._marks import literal, rows_of
from labkit.lab.charts._theme import (
    AXIS,
    INK,
    INNER,
    SERIES,
    TEXT,
    text_width,
)
from labkit.lab.charts._words import amount

__all__ = ["Bar", "Picture", "drawn"]

ALONE, TOGETHER, BETWEEN = 27.0, 21.0, 12.0
"""Pixels from bar to bar, from bar to bar within a category, and between categories."""
MOST_GUTTER = 210.0


class Bar(NamedTuple):
    """One figure: its category, its series (or nothing) and its value (NaN if unknown)."""

    group: str
    series: str
    value: float

    @property
    def name(self) -> str:
        """The bar's category and series in words."""
        return f"{self.group}, {self.series}" if self.series else self.group

    @property
    def length(self) -> float:
        """The value to draw: nothing where it is unknown."""
        return 0.0 if self.value != self.value else self.value


class Picture(NamedTuple):
    """Checked bars, their unit, and the line to measure against."""

    bars: list[Bar]
    unit: str
    line: tuple[float, str] | None


class _Axis(NamedTuple):
    zero: float
    scale: float

    def at(self, value: float) -> float:
        return self.zero + self.scale * value


def drawn(picture: Picture) -> Any:
    """Draw the bars of a picture; every place is worked out in pixels."""
    import altair as alt

    gutter = min(MOST_GUTTER, max(text_width(bar.group) for bar in picture.bars)) + 10
    width = INNER - gutter
    places, height = _places(picture.bars)
    axis = _axis(picture, width)
    layers = [
        _bars(picture, places, axis),
        *_figures(picture, places, axis),
        _groups(picture.bars, places),
        _rule(axis.zero, height, color=AXIS.light),
    ]
    if picture.line is not None:
        layers += _reference(picture, axis, width, height)
    return alt.layer(*layers).properties(width=width, height=height)


def _places(bars: list[Bar]) -> tuple[list[float], float]:
    """Find the middle of every bar, those of a category together, and the height of all."""
    order = {group: n for n, group in enumerate(dict.fromkeys(bar.group for bar in bars))}
    pitch, gap = (TOGETHER, BETWEEN) if len(bars) > len(order) else (ALONE, 0.0)
    groups = [order[bar.group] for bar in bars]
    places = [0.0] * len(bars)
    for rank, n in enumerate(sorted(range(len(bars)), key=lambda n: groups[n])):
        places[n] = pitch * (rank + 0.5) + gap * groups[n]
    return places, pitch * len(bars) + gap * (len(order) - 1)


def _axis(picture: Picture, width: float) -> _Axis:
    """Fit the bars between the figures at their ends."""
    lengths = [0.0, *(bar.length for bar in picture.bars)]
    lengths += [picture.line[0]] if picture.line else []
    low, high = min(lengths), max(lengths)
    room: dict[bool, list[float]] = {True: [0.0], False: [0.0]}
    for bar in picture.bars:
        room[bar.value < 0].append(_room(bar, picture.unit))
    left, right = max(room[True]), max(room[False])
    scale = (width - left - right) / ((high - low) or 1.0)
    return _Axis(left - low * scale, scale)


def _room(bar: Bar, unit: str) -> float:
    return text_width(amount(bar.value, unit)) + text_width(bar.series) + 22


def _colours(bars: list[Bar]) -> dict[str, str]:
    """Give every series its colour, in the order they first appear."""
    order = dict.fromkeys(bar.series for bar in bars)
    return {name: line.paint.light for name, line in zip(order, SERIES, strict=False)}


def _bars(picture: Picture, places: list[float], axis: _Axis) -> Any:
    """Draw the bars themselves."""
    import altair as alt

    colours = _colours(picture.bars)
    half = 7.5 if len(colours) > 1 else 8.5
    rows = [
        {
            "x": axis.zero,
            "to": axis.at(bar.length),
            "y": y - half,
            "down": y + half,
            "colour": colours[bar.series],
        }
        for bar, y in zip(picture.bars, places, strict=True)
    ]
    channels = literal(alt.X, "x"), literal(alt.Y, "y"), literal(alt.Color, "colour")
    return rows_of(rows).mark_rect().encode(*channels, x2="to:Q", y2="down:Q")


def _figures(picture: Picture, places: list[float], axis: _Axis) -> list[Any]:
    """Write the figure at the end of each bar, and behind it whose bar it is."""
    import altair as alt

    colours = _colours(picture.bars)
    rows: dict[int, list[dict[str, Any]]] = {1: [], -1: []}
    for bar, y in zip(picture.bars, places, strict=True):
        side, figure = -1 if bar.value < 0 else 1, amount(bar.value, picture.unit)
        x = axis.at(bar.length) + side * 7
        rows[side].append({"x": x, "y": y, "word": figure, "colour": INK.light})
        if bar.series:
            x += side * (text_width(figure) + 7)
            told = {"word": bar.series, "colour": colours[bar.series]}
            rows[side].append({"x": x, "y": y} | told)
    channels = literal(alt.X, "x"), literal(alt.Y, "y"), literal(alt.Color, "colour")
    return [
        rows_of(rows[side])
        .mark_text(align="left" if side > 0 else "right", baseline="middle")
        .encode(*channels, text="word:N")
        for side in rows
    ]


def _groups(bars: list[Bar], places: list[float]) -> Any:
    """Write each category beside the middle of its bars."""
    import altair as alt

    rows = []
    for group in dict.fromkeys(bar.group for bar in bars):
        mine = [y for bar, y in zip(bars, places, strict=True) if bar.group == group]
        rows.append({"x": -10, "y": (min(mine) + max(mine)) / 2, "word": group})
    text = rows_of(rows).mark_text(
        align="right", baseline="middle", color=TEXT.light, limit=MOST_GUTTER
    )
    return text.encode(literal(alt.X, "x"), literal(alt.Y, "y"), text="word:N")


def _rule(x: float, height: float, **style: Any) -> Any:
    import altair as alt

    rule = rows_of([{"x": x, "y": 0, "down": height}]).mark_rule(**style)
    return rule.encode(literal(alt.X, "x"), literal(alt.Y, "y"), y2="down:Q")


def _reference(picture: Picture, axis: _Axis, width: float, height: float) -> list[Any]:
    """Draw the line to measure against, its words above it on the freer side."""
    import altair as alt

    value, words = picture.line or (0.0, "")
    x = axis.at(value)
    row = {"x": x, "y": -4, "word": f"{words} {amount(value, picture.unit)}".strip()}
    right = x > width / 2
    told = rows_of([row]).mark_text(
        align="right" if right else "left",
        baseline="bottom",
        color=INK.light,
        dx=3 if right else -3,
    )
    return [
        _rule(x, height, color=INK.light, strokeDash=[4, 3], strokeWidth=1.2),
        told.encode(literal(alt.X, "x"), literal(alt.Y, "y"), text="word:N"),
    ]

"""Curves as an Altair chart: lines, the names at their ends, and one thing pointed out."""

from __future__ import annotations

from typing import Any, NamedTuple

from labkit.lab.charts._axes import Axis
from labkit.lab.charts._curve_words import Point, clearest, spread
from labkit.lab.charts._marks import rows_of
from labkit.lab.charts._theme import INK, INNER, LABEL_SIZE, PANEL, SERIES, text_width

__all__ = ["Picture", "drawn"]

HEIGHT = 280.0
NAME_SIZE = LABEL_SIZE + 0.5
FEW = 16
"""Up to so many points a line, each is drawn as a dot: a figure that was measured."""


class Picture(NamedTuple):
    """Checked figures: points of each line by name, the y axis, titles, what is pointed out."""

    lines: dict[str, list[Point]]
    axis: Axis
    x_title: str
    y_title: str
    mark: tuple[float, float | None, str] | None

    @property
    def gutter(self) -> float:
        """Room for the words of the y axis."""
        return max(map(text_width, self.axis.words())) + 8

    @property
    def width(self) -> float:
        """Room for the lines, between the y axis and the names."""
        names = max(text_width(name, NAME_SIZE) for name in self.lines)
        return INNER - self.gutter - (names + 12 if names else 6)

    @property
    def span(self) -> tuple[float, float]:
        """Both ends of the x axis."""
        places = [x for points in self.lines.values() for x, _ in points]
        places += [self.mark[0]] if self.mark else []
        low, high = min(places), max(places)
        return (low, high) if low < high else (low - 0.5, high + 0.5)

    def pixel(self, point: Point) -> Point:
        """Find a point of the figures on the screen."""
        low, high = self.span
        across = (point[0] - low) / (high - low) * self.width
        return across, self.axis.share(point[1]) * HEIGHT


def drawn(picture: Picture) -> Any:
    """Draw the lines of a picture."""
    import altair as alt

    x, y = _x(picture), _y(picture)
    layers = [*_curves(picture, x, y), *_names(picture, x, y)]
    if picture.mark is not None:
        layers += _rule(picture, x) if picture.mark[1] is None else _ring(picture, x, y)
    return alt.layer(*layers).properties(width=picture.width, height=HEIGHT)


def _curves(picture: Picture, x: Any, y: Any) -> list[Any]:
    layers = []
    for look, points in zip(SERIES, picture.lines.values(), strict=False):
        rows = rows_of([{"across": across, "up": up} for across, up in points]).encode(x, y)
        dash = {"strokeDash": list(look.dash)} if len(picture.lines) > 1 else {}
        layers.append(rows.mark_line(color=look.paint.light, strokeWidth=2.2, **dash))
        if len(points) <= FEW:
            dots = {"size": 42, "fill": look.paint.light, "stroke": PANEL.light, "opacity": 1}
            layers.append(rows.mark_point(strokeWidth=1.2, **dots))
    return layers


def _names(picture: Picture, x: Any, y: Any) -> list[Any]:
    """Write each line's name at its end, moved up or down where two would touch."""
    axis, ends = picture.axis, [points[-1] for points in picture.lines.values()]
    heights = spread([axis.share(up) * HEIGHT for _, up in ends], apart=15, top=HEIGHT)
    layers = []
    for look, name, end, height in zip(SERIES, picture.lines, ends, heights, strict=False):
        row = {"across": end[0], "up": axis.value(height / HEIGHT), "name": name}
        text = rows_of([row]).mark_text(
            align="left",
            baseline="middle",
            dx=9,
            color=look.paint.light,
            fontSize=NAME_SIZE,
            fontWeight="bold",
        )
        layers.append(text.encode(x, y, text="name:N"))
    return layers if any(picture.lines) else []


def _rule(picture: Picture, x: Any) -> list[Any]:
    """Draw a rule across the chart, with its words above it on the freer side."""
    import altair as alt

    across, _, words = picture.mark or (0.0, None, "")
    right = picture.pixel((across, picture.axis.ticks[-1]))[0] > picture.width / 2
    row = rows_of([{"across": across, "word": words}]).encode(x)
    rule = row.mark_rule(color=INK.light, strokeDash=[4, 3], strokeWidth=1.2)
    told = row.mark_text(
        align="right" if right else "left",
        baseline="bottom",
        color=INK.light,
        dx=3 if right else -3,
    )
    return [rule, told.encode(y=alt.value(-4), text="word:N")]


def _ring(picture: Picture, x: Any, y: Any) -> list[Any]:
    """Draw a ring around a point, with its words where the lines are not."""
    across, up, words = picture.mark or (0.0, 0.0, "")
    lines = [[picture.pixel(point) for point in points] for points in picture.lines.values()]
    right, above = clearest(
        picture.pixel((across, up or 0.0)),
        (text_width(words), 14.0),
        lines,
        (picture.width, HEIGHT),
        (10.0, 16.0),
    )
    row = rows_of([{"across": across, "up": up, "word": words}]).encode(x, y)
    ring = row.mark_point(size=150, stroke=INK.light, strokeWidth=1.6, opacity=1)
    told = row.mark_text(
        align="left" if right > 0 else "right",
        baseline="middle",
        color=INK.light,
        dx=10 * right,
        dy=-16 * above,
    )
    return [ring, told.encode(text="word:N")]


def _x(picture: Picture) -> Any:
    import altair as alt

    points = [across for line in picture.lines.values() for across, _ in line]
    axis = alt.Axis(
        title=picture.x_title,
        labelFlush=False,
        tickCount=8,
        tickMinStep=1 if all(across.is_integer() for across in points) else alt.Undefined,
        format="~s" if picture.span[1] >= 1e5 else alt.Undefined,
    )
    return alt.X("across:Q", scale=alt.Scale(domain=list(picture.span), nice=False), axis=axis)


def _y(picture: Picture) -> Any:
    import json

    import altair as alt

    axis, rule = picture.axis, picture.mark is not None and picture.mark[1] is None
    scale = alt.Scale(
        domain=[axis.ticks[0], axis.ticks[-1]], nice=False, type="log" if axis.log else "linear"
    )
    words = json.dumps(axis.words())
    drawn_axis = alt.Axis(
        title=picture.y_title,
        titleAlign="left",
        titleAngle=0,
        titleBaseline="bottom",
        titleX=-picture.gutter,
        titleY=-26 if rule else -12,
        values=axis.ticks,
        labelExpr=f"{words}[round(datum.index * {len(axis.ticks) - 1})]",
        minExtent=picture.gutter,
        maxExtent=picture.gutter,
    )
    return alt.Y("up:Q", scale=scale, axis=drawn_axis)

"""Named points as an Altair chart: dots, the front that joins the best, and a name beside each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from labkit.lab.charts._axes import Axis
from labkit.lab.charts._curve_words import Point, dotted
from labkit.lab.charts._marks import rows_of
from labkit.lab.charts._theme import INNER, LABEL_SIZE, MUTED, PANEL, SERIES, TEXT, text_width

__all__ = ["Dot", "Picture", "drawn", "named"]

HEIGHT = 320.0
ASIDE, LINE = 9.0, 14.0
"""Pixels from a dot to its name, and the height of a name."""

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in pixels from the lower left corner."""


class Dot(NamedTuple):
    """One point: its name, where it lies, and whether no other beats it."""

    name: str
    x: float
    y: float
    front: bool


class Picture(NamedTuple):
    """Checked dots, both axes and their titles."""

    dots: list[Dot]
    across: Axis
    up: Axis
    x_title: str
    y_title: str

    @property
    def gutter(self) -> float:
        """Room for the words of the y axis."""
        return max(map(text_width, self.up.words())) + 8

    @property
    def width(self) -> float:
        """Room for the dots."""
        return INNER - self.gutter - 12

    @property
    def front(self) -> list[Dot]:
        """The dots that no other beats, from left to right."""
        return sorted((dot for dot in self.dots if dot.front), key=lambda dot: dot.x)

    def pixel(self, dot: Dot) -> Point:
        """Find a dot on the screen, from the lower left corner."""
        return self.across.share(dot.x) * self.width, self.up.share(dot.y) * HEIGHT


def drawn(picture: Picture) -> Any:
    """Draw the dots of a picture."""
    import altair as alt

    x, y = _channel(alt.X, "across", picture), _channel(alt.Y, "up", picture)
    blue = SERIES[0].paint.light
    layers = [
        _rows(picture.front).encode(x, y).mark_line(color=blue, strokeWidth=1.4, strokeDash=[4, 3]),
        *(
            _rows([dot for dot in picture.dots if dot.front is best])
            .encode(x, y)
            .mark_point(size=75, fill=fill, stroke=stroke, strokeWidth=1.8, opacity=1)
            for best, fill, stroke in ((False, PANEL.light, MUTED.light), (True, blue, blue))
        ),
        *_names(picture),
    ]
    return alt.layer(*layers).properties(width=picture.width, height=HEIGHT)


def _rows(dots: list[Dot]) -> Any:
    return rows_of([{"across": dot.x, "up": dot.y} for dot in dots])


def _names(picture: Picture) -> list[Any]:
    import altair as alt

    places = named(
        [picture.pixel(dot) for dot in picture.dots],
        [text_width(dot.name) for dot in picture.dots],
        picture.width,
        [picture.pixel(dot) for dot in picture.front],
    )
    layers = []
    for dot, (left, low, _, _) in zip(picture.dots, places, strict=True):
        row = rows_of([{"x": left, "y": HEIGHT - low - LINE / 2, "name": dot.name}])
        text = row.mark_text(
            align="left",
            baseline="middle",
            color=TEXT.light,
            fontSize=LABEL_SIZE,
            fontWeight="bold" if dot.front else "normal",
        )
        place = alt.X("x:Q", scale=None, axis=None), alt.Y("y:Q", scale=None, axis=None)
        layers.append(text.encode(*place, text="name:N"))
    return layers


def named(
    dots: list[Point], widths: list[float], width: float, line: Sequence[Point] = ()
) -> list[Box]:
    """Find a box for each name beside its dot, clear of dots, line and names placed before."""
    boxes: list[Box] = []
    marks = [(x - 5, y - 5, x + 5, y + 5) for x, y in dots]
    marks += [(x - 1.5, y - 1.5, x + 1.5, y + 1.5) for x, y in dotted(line)]

    def cost(box: Box) -> float:
        outside = max(0.0, -box[0]) + max(0.0, box[2] - width - 12) + max(0.0, box[3] - HEIGHT - 8)
        return 50 * outside + sum(_overlap(box, other) for other in (*boxes, *marks))

    for (x, y), size in zip(dots, widths, strict=True):
        tries = [
            (left, y + rise - LINE / 2, left + size, y + rise + LINE / 2)
            for rise in (0.0, 12.0, -12.0, 20.0, -20.0)
            for left in (x + ASIDE, x - ASIDE - size, x - size / 2)
            if rise or left != x - size / 2
        ]
        boxes.append(min(tries, key=cost))
    return boxes


def _overlap(one: Box, other: Box) -> float:
    across = min(one[2], other[2]) - max(one[0], other[0])
    up = min(one[3], other[3]) - max(one[1], other[1])
    return across * up if across > 0 and up > 0 else 0.0


def _channel(kind: Any, field: str, picture: Picture) -> Any:
    import json

    import altair as alt

    upright = field == "up"
    axis = picture.up if upright else picture.across
    scale = alt.Scale(
        domain=[axis.ticks[0], axis.ticks[-1]], nice=False, type="log" if axis.log else "linear"
    )
    words = json.dumps(axis.words())
    place: dict[str, Any] = {"labelFlush": False, "title": picture.x_title}
    if upright:
        place = {
            "title": picture.y_title,
            "titleAlign": "left",
            "titleAngle": 0,
            "titleBaseline": "bottom",
            "titleX": -picture.gutter,
            "titleY": -12,
            "minExtent": picture.gutter,
            "maxExtent": picture.gutter,
        }
    label = f"{words}[round(datum.index * {len(axis.ticks) - 1})]"
    return kind(
        f"{field}:Q", scale=scale, axis=alt.Axis(values=axis.ticks, labelExpr=label, **place)
    )

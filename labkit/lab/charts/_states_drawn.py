"""A state diagram as an Altair chart: boxes, arrows between them, and what makes each change."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from labkit.lab.charts._marks import literal, rows_of
from labkit.lab.charts._theme import INK, INNER, MUTED, ON_BAR, PANEL, SERIES, TEXT, text_width

__all__ = ["PLACES", "Arrow", "Picture", "drawn"]

HEIGHT, LINE = 260.0, 15.0
PLACES = {
    2: ((0.15, 0.5), (0.85, 0.5)),
    3: ((0.15, 0.2), (0.85, 0.2), (0.5, 0.88)),
    4: ((0.15, 0.15), (0.85, 0.15), (0.85, 0.88), (0.15, 0.88)),
}
"""Where so many states stand, as shares of width and height from the upper left corner."""
HALF = 18.0
"""Half the height of a box, in pixels."""

Point = tuple[float, float]


class Arrow(NamedTuple):
    """A change: from one state to another, and the events that make it."""

    was: str
    then: str
    events: list[str]


class Picture(NamedTuple):
    """Checked states and changes, what is written below, and the state to fill."""

    names: list[str]
    arrows: list[Arrow]
    below: list[str]
    now: str | None

    def place(self, name: str) -> Point:
        """Return the middle of a state's box."""
        across, down = PLACES[len(self.names)][self.names.index(name)]
        return across * INNER, down * HEIGHT

    def half(self, name: str) -> float:
        """Return half the width of a state's box."""
        return text_width(name, 13) / 2 + 16


def drawn(picture: Picture) -> Any:
    """Draw the diagram; every place is worked out in pixels, down from the upper left."""
    import altair as alt

    layers = [layer for arrow in picture.arrows for layer in _arrow(picture, arrow)]
    layers += [layer for name in picture.names for layer in _box(picture, name)]
    height = HEIGHT + LINE * (len(picture.below) + 2 if picture.below else 0)
    if picture.below:
        words = ["From any state", *picture.below]
        layers.append(_text(words, (0.0, HEIGHT + 2 * LINE), "left", MUTED.light))
    return alt.layer(*layers).properties(width=INNER, height=height)


def _box(picture: Picture, name: str) -> list[Any]:
    import altair as alt

    (x, y), half = picture.place(name), picture.half(name)
    filled, blue = name == picture.now, SERIES[0].paint.light
    row = {"x": x - half, "to": x + half, "y": y - HALF, "down": y + HALF}
    box = rows_of([row]).mark_rect(
        fill=blue if filled else PANEL.light, stroke=blue, strokeWidth=1.8, cornerRadius=9
    )
    channels = literal(alt.X, "x"), literal(alt.Y, "y")
    word = rows_of([{"x": x, "y": y, "word": name}]).mark_text(
        align="center",
        baseline="middle",
        color=ON_BAR.light if filled else INK.light,
        fontSize=13,
        fontWeight="bold",
    )
    return [
        box.encode(*channels, x2="to:Q", y2="down:Q"),
        word.encode(*channels, text="word:N"),
    ]


def _arrow(picture: Picture, arrow: Arrow) -> list[Any]:
    """Draw a change on the left hand of whoever walks along it, so that a way back is apart."""
    import altair as alt

    (x0, y0), (x1, y1) = picture.place(arrow.was), picture.place(arrow.then)
    length = math.hypot(x1 - x0, y1 - y0)
    across, down = (x1 - x0) / length, (y1 - y0) / length
    left = (down, -across)
    back = any((each.then, each.was) == (arrow.was, arrow.then) for each in picture.arrows)
    aside = 9.0 if back else 0.0
    start = _edge(picture.half(arrow.was), (across, down)) + 4
    end = length - _edge(picture.half(arrow.then), (across, down)) - 10 - aside
    ends = [
        (x0 + across * way + left[0] * aside, y0 + down * way + left[1] * aside)
        for way in (start, end)
    ]
    (a, b), (c, d) = ends
    channels = literal(alt.X, "x"), literal(alt.Y, "y")
    line = rows_of([{"x": a, "y": b, "to": c, "down": d}]).mark_rule(
        color=TEXT.light, strokeWidth=1.4
    )
    head = rows_of([{"x": c, "y": d}]).mark_point(
        shape="triangle",
        angle=math.degrees(math.atan2(across, -down)) % 360,
        size=70,
        fill=TEXT.light,
        stroke=TEXT.light,
        opacity=1,
    )
    return [
        line.encode(*channels, x2="to:Q", y2="down:Q"),
        head.encode(*channels),
        _events(arrow.events, ((a + c) / 2, (b + d) / 2), left),
    ]


def _edge(half: float, way: Point) -> float:
    """Return how far from a box's middle its edge is, in one direction."""
    across, down = abs(way[0]), abs(way[1])
    return min(half / across if across > 1e-9 else 1e9, HALF / down if down > 1e-9 else 1e9)


def _events(events: list[str], middle: Point, left: Point) -> Any:
    """Write the events beside the middle of an arrow."""
    rise = (len(events) - 1) * LINE
    x, y = middle[0] + left[0] * 12, middle[1] + left[1] * 12
    align = "center" if abs(left[0]) < 0.3 else "left" if left[0] > 0 else "right"
    return _text(events, (x, y - rise if left[1] < 0 else y), align, TEXT.light)


def _text(words: list[str], place: Point, align: str, colour: str) -> Any:
    import altair as alt

    rows = [{"x": place[0], "y": place[1] + LINE * n, "word": word} for n, word in enumerate(words)]
    text = rows_of(rows).mark_text(align=align, baseline="middle", color=colour)
    return text.encode(literal(alt.X, "x"), literal(alt.Y, "y"), text="word:N")

"""One attempt on its lane: its bar, its shape, its status in words, and the wait after it.

Worked out in pixels before anything is drawn, because whether a word has room depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from labkit.lab.charts._theme import LABEL_SIZE, ON_BAR, OUTCOMES, PANEL, TEXT, text_width

__all__ = ["Lane", "Marks", "Scale", "Sizes", "place"]


class Scale(NamedTuple):
    """The time axis: seconds from `low` to `high` over `width` pixels, shown in `unit`s."""

    low: float
    high: float
    width: float
    unit: str
    unit_s: float

    def pixel(self, seconds: float) -> float:
        """Turn a point in time into a distance from the left end of the axis."""
        return (seconds - self.low) * self.width / (self.high - self.low)

    def shown(self, pixel: float) -> float:
        """Turn a distance from the left end into the axis's unit."""
        return (self.low + pixel * (self.high - self.low) / self.width) / self.unit_s


class Sizes(NamedTuple):
    """What fits a lane `step` pixels high."""

    step: float

    @property
    def thick(self) -> float:
        """Height of a bar."""
        return min(15.0, 0.62 * self.step)

    @property
    def inner(self) -> float:
        """Half the width of a shape within its bar."""
        return min(4.2, self.thick / 2 - 0.8)

    @property
    def outer(self) -> float:
        """Half the width of a shape on its own."""
        return min(4.6, 0.38 * self.step)

    @property
    def letters(self) -> float:
        """Size of the words on bars; 0 where a lane is too low for words."""
        size = min(LABEL_SIZE - 1, self.thick - 1.5)
        return size if size >= 9 else 0.0


class Marks(NamedTuple):
    """Rows ready to draw, at their places on the time axis."""

    waits: list[dict[str, Any]]
    bars: list[dict[str, Any]]
    shapes: list[dict[str, Any]]
    words: list[dict[str, Any]]


class Lane(NamedTuple):
    """Where a call's attempts are placed: its name, the axis, the sizes, the rows so far."""

    name: str
    scale: Scale
    sizes: Sizes
    marks: Marks

    def row(self, pixel: float, **more: Any) -> dict[str, Any]:
        """Make a row of this lane at a place on the axis."""
        return {"lane": self.name, "at": self.scale.shown(pixel), **more}


def place(attempt: Mapping[Any, Any], after: Mapping[Any, Any] | None, lane: Lane) -> None:
    """Place one attempt, and the wait for the attempt `after` it, if there is one."""
    start, end = (lane.scale.pixel(attempt[key]) for key in ("start_s", "end_s"))
    until = lane.scale.pixel(after["start_s"]) if after else lane.scale.width
    free = _place_bar(attempt["outcome"], start, end, until, lane)
    label = attempt["label"]
    word = "" if label is None or label != label else str(label)
    free += _place_word(word, (start, end, free, until), lane)
    if after and until > free:
        lane.marks.waits.append(lane.row(free, to=lane.scale.shown(until)))


def _place_bar(outcome: str, start: float, end: float, until: float, lane: Lane) -> float:
    """Place the bar and its shape, within it or behind it; return where free room begins."""
    look, sizes = OUTCOMES[outcome], lane.sizes
    colour, fill, halo, reach = look.paint.light, look.paint.light, PANEL.light, sizes.outer
    if fits := end - start >= 2 * sizes.inner + 3:
        fill, halo, reach = ON_BAR.light, colour, sizes.inner
        at, free = end - reach - 2, end
    elif fits := end - start >= 3 and until - end >= 2 * reach + 5:
        at, free = end + reach + 2, end + 2 * reach + 4
    else:  # No room for both: the shape stands for the bar.
        at = (start + end) / 2
        free = max(end, at + reach + 2)
    if fits:
        lane.marks.bars.append(lane.row(start, to=lane.scale.shown(end), colour=colour))
    told = {"shape": look.shape, "colour": fill, "halo": halo, "size": (2 * reach) ** 2}
    lane.marks.shapes.append(lane.row(at, **told))
    return free


def _place_word(word: str, places: tuple[float, float, float, float], lane: Lane) -> float:
    """Write a status in its bar, else behind it, else nowhere; say how much room it took there."""
    start, end, free, until = places
    length, shape = text_width(word, lane.sizes.letters), 2 * lane.sizes.inner + 2
    if not length:
        return 0.0
    if end - start >= shape + length + 8:
        middle = (start + end - shape) / 2
        lane.marks.words.append(lane.row(middle, word=word, colour=ON_BAR.light))
        return 0.0
    if until - free >= length + 8:
        middle = free + 1 + length / 2
        lane.marks.words.append(lane.row(middle, word=word, colour=TEXT.light))
        return length + 3
    return 0.0

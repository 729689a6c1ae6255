"""The one look of every chart: colours for light and dark pages, type and sizes.

A picture in a notebook cannot see the page's style sheet, so each brings a panel of its own
and is legible anywhere.  Attributes hold the light colours; a `prefers-color-scheme` rule
inside the picture swaps in the dark ones.  JupyterLab tells its pictures which theme is on
(since 4.3), whatever the operating system prefers; a page that drops the rule shows light.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

__all__ = [
    "AXIS",
    "EDGE",
    "FONT",
    "GAP",
    "GRID",
    "INK",
    "INNER",
    "LABEL_SIZE",
    "MUTED",
    "ON_BAR",
    "OUTCOMES",
    "PAINTS",
    "PANEL",
    "SERIES",
    "TEXT",
    "WAITING",
    "WIDTH",
    "Line",
    "Look",
    "Paint",
    "config",
    "text_width",
    "wrapped",
]

WIDTH = 720
"""Width of every chart in CSS pixels; a narrower page scales the picture down."""
PADDING, GAP = 22, 28
INNER = WIDTH - 2 * PADDING - 4
"""Width that drawings may fill; the rest covers pixels that axes round up."""
TITLE_SIZE, LABEL_SIZE = 15, 11.5

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""Faces of equal letter widths: the drawing library measures with the first, which it brings
along, and every system has one of them, so a layout holds wherever it is looked at."""


class Paint(NamedTuple):
    """One role's colour on a light page and on a dark one."""

    light: str
    dark: str


PANEL = Paint("#fdfdfb", "#17181b")
EDGE = Paint("#e3e3de", "#303237")
INK = Paint("#1f2328", "#eceae6")
TEXT = Paint("#454b54", "#c6c9ce")
MUTED = Paint("#686e78", "#9aa0a9")
AXIS = Paint("#bfc0bb", "#52555c")
GRID = Paint("#ebebe7", "#292b30")
ON_BAR = Paint("#ffffff", "#121316")

_BLUE = Paint("#2a6f97", "#74b6dc")
_RED = Paint("#b8322a", "#f28b80")
_AMBER = Paint("#9a6206", "#e2b04a")
_VIOLET = Paint("#7b4fa3", "#bb9ee2")
_SLATE = Paint("#5b6470", "#a6adb7")
_ORANGE = Paint("#b4540f", "#f0a35e")
_GREEN = Paint("#2c7a4b", "#7cc495")
_ROSE = Paint("#b8325c", "#f0879f")
_BROWN = Paint("#7a5c3a", "#c9a77c")

PAINTS = (
    *(PANEL, EDGE, INK, TEXT, MUTED, AXIS, GRID, ON_BAR),
    *(_BLUE, _RED, _AMBER, _VIOLET, _SLATE, _ORANGE, _GREEN, _ROSE, _BROWN),
)
"""Every colour a chart may use; a light one names its role, so no two are the same."""


class Look(NamedTuple):
    """How one kind of ending is told: in words, by colour and, for everybody, by shape.

    `fate` completes the sentence "a call ends ...".
    """

    words: str
    fate: str
    paint: Paint
    shape: str


_TICK = "M-1.1.1L-.65-.4-.25.05.7-1 1.15-.55-.25.95Z"
_CROSS = "M-1-.6L-.6-1 0-.4 .6-1 1-.6 .4 0 1 .6 .6 1 0 .4-.6 1-1 .6-.4 0Z"
_RING = "M0-1.15L1.15 0 0 1.15-1.15 0ZM0-.5L-.5 0 0 .5 .5 0Z"
_DASH = "M-1.6-.15H1.6V.15H-1.6Z"

OUTCOMES: Mapping[str, Look] = MappingProxyType(
    {
        "ok": Look("ok", "ok", _BLUE, _TICK),
        "error": Look("API error", "in an API error", _RED, _CROSS),
        "rate_limited": Look("rate limited", "rate limited", _AMBER, "triangle-up"),
        "unreachable": Look("unreachable", "unreachable", _VIOLET, _RING),
        "refused": Look("refused by us", "refused by us", _SLATE, "square"),
    }
)
WAITING = Look("waiting", "waiting", MUTED, _DASH)


class Line(NamedTuple):
    """How one series is told: by colour and, for everybody, by its dashes."""

    paint: Paint
    dash: tuple[int, ...]


SERIES = (
    Line(_BLUE, (1, 0)),
    Line(_ORANGE, (7, 3)),
    Line(_GREEN, (3, 2)),
    Line(_VIOLET, (9, 3, 2, 3)),
    Line(_ROSE, (5, 2)),
    Line(_SLATE, (1, 3)),
    Line(_BROWN, (12, 4)),
    Line(_AMBER, (4, 2, 1, 2)),
)


def config() -> dict[str, Any]:
    """Build the Vega-Lite configuration that gives a chart the course's look."""
    axis = {
        "domainColor": AXIS.light,
        "gridColor": GRID.light,
        "labelColor": TEXT.light,
        "labelFontSize": LABEL_SIZE,
        "labelPadding": 6,
        "tickColor": AXIS.light,
        "ticks": False,
        "titleColor": MUTED.light,
        "titleFontSize": LABEL_SIZE,
        "titleFontWeight": "normal",
        "titlePadding": 10,
    }
    return {
        "font": FONT,
        "padding": PADDING,
        "background": None,
        "view": {"stroke": None},
        "title": {
            "anchor": "start",
            "color": INK.light,
            "fontSize": TITLE_SIZE,
            "fontWeight": "bold",
            "frame": "bounds",
            "lineHeight": 20,
            "offset": 16,
        },
        "axis": axis,
        "axisX": {"grid": False},
        "axisY": {"domain": False},
        "text": {"color": TEXT.light, "fontSize": LABEL_SIZE},
    }


def text_width(text: str, size: float = LABEL_SIZE) -> float:
    """Estimate the width of a text in pixels, on the generous side."""
    return size * sum(0.32 if letter in " .,:;'|!iljtfI()-" else 0.6 for letter in text)


def wrapped(title: str) -> list[str]:
    """Break a title into lines that fit the chart."""
    import textwrap

    return textwrap.wrap(title, int((WIDTH - 2 * PADDING) / (0.56 * TITLE_SIZE)))

"""Points with names: what each choice costs and what it gives, and the choices nobody beats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import UserError
from labkit.lab.charts._axes import around, linear, logarithmic
from labkit.lab.charts._chart import Chart
from labkit.lab.charts._scatter_drawn import Dot, Picture, drawn
from labkit.lab.charts._svg import render
from labkit.lab.charts._tables import needed, numbers, said
from labkit.lab.charts._words import amount, listed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["scatter"]

MOST_DOTS = 40
MOST_TOLD = 8


def scatter(
    table: pd.DataFrame,
    x: str,
    y: str,
    *,
    name: str,
    x_title: str,
    y_title: str,
    title: str,
    alt: str | None = None,
    log_x: bool = False,
) -> Chart:
    """Draw a dot for each row, `x` (less is better, such as cost) against `y` (more is better).

    Each dot carries its name from the column `name`.  Those that no other dot beats in both are
    the Pareto front: they are filled and joined by a line.  At most 40 dots.

    Raises UserError for what cannot be drawn.
    """
    title = said("a title", title)
    titles = said("an x title", x_title), said("a y title", y_title)
    figures = needed(table, name, x, y)
    numbers(figures, x, y)
    figures = figures.dropna().reset_index(drop=True)
    if not 1 <= len(figures) <= MOST_DOTS:
        raise UserError(f"A chart names 1 to {MOST_DOTS} dots, and this has {len(figures)}.")
    rows = zip(figures[name], figures[x].astype(float), figures[y].astype(float), strict=True)
    dots = _with_front([(str(word), across, up) for word, across, up in rows])
    least, most = min(dot.x for dot in dots), max(dot.x for dot in dots)
    if log_x and least <= 0:
        raise UserError(f"A logarithmic axis needs figures above zero, and one is {least:g}.")
    across = logarithmic(least, most) if log_x else linear(least, most)
    up = around(min(dot.y for dot in dots), max(dot.y for dot in dots))
    words = said("its alt text", alt) if alt is not None else _described(dots, titles)
    return Chart(render(drawn(Picture(dots, across, up, *titles)), title, words), words, figures)


def _with_front(rows: list[tuple[str, float, float]]) -> list[Dot]:
    """Mark every dot that no other one beats: none is as good in both and better in one."""
    return [
        Dot(
            word,
            x,
            y,
            not any(a <= x and b >= y and (a < x or b > y) for _, a, b in rows),
        )
        for word, x, y in rows
    ]


def _described(dots: list[Dot], titles: tuple[str, str]) -> str:
    """Say where the dots of the front are, and how many others there are."""
    front = sorted((dot for dot in dots if dot.front), key=lambda dot: dot.x)
    told = [f"{dot.name} ({amount(dot.x)}, {amount(dot.y)})" for dot in front[:MOST_TOLD]]
    others = len(dots) - len(front)
    behind = f"; {others} of {len(dots)} are beaten in both" if others else ""
    return f"Scatter chart of {titles[1]} against {titles[0]}. Best: {listed(told)}{behind}."

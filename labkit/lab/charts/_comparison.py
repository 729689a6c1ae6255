"""Bars to compare, each carrying its figure at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import UserError
from labkit.lab.charts._chart import Chart
from labkit.lab.charts._comparison_drawn import Bar, Picture, drawn
from labkit.lab.charts._svg import render
from labkit.lab.charts._tables import finite, needed, numbers, said
from labkit.lab.charts._theme import SERIES
from labkit.lab.charts._words import amount, listed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["comparison"]

MOST_BARS = 60
MOST_TOLD = 8

Reference = float | tuple[float, str]


def comparison(
    table: pd.DataFrame,
    category: str,
    value: str,
    *,
    title: str,
    unit: str,
    alt: str | None = None,
    series: str | None = None,
    reference: Reference | None = None,
) -> Chart:
    """Draw the column `value` as a bar for each row, in the order of the table.

    `category` names the bars; with `series`, every category has a bar for each of its values.
    `unit` is written with each figure ("s", "%", "$", "tokens"; may be empty).  A missing
    figure is shown as unknown, never as zero.  `reference` is a line to measure against, given
    as a number or as `(number, words)`.  At most 60 bars.

    Raises UserError for what cannot be drawn.
    """
    title = said("a title", title)
    figures = needed(table, *([category] if series is None else [category, series]), value)
    numbers(figures, value)
    bars = _bars(figures, category, value, series)
    line = _line(reference)
    words = said("its alt text", alt) if alt is not None else _described(bars, unit, line, title)
    return Chart(render(drawn(Picture(bars, unit, line)), title, words), words, figures)


def _bars(figures: pd.DataFrame, category: str, value: str, series: str | None) -> list[Bar]:
    if len(figures) > MOST_BARS:
        raise UserError(f"A comparison has at most {MOST_BARS} bars, and this has {len(figures)}.")
    names = figures[series].astype(str) if series is not None else [""] * len(figures)
    groups = figures[category].astype(str)
    bars = [Bar(*bar) for bar in zip(groups, names, figures[value].astype(float), strict=True)]
    named = [(bar.group, bar.series) for bar in bars]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"Two rows are named {' '.join(twice).strip()!r}; a bar draws one figure.")
    if len(set(names)) > len(SERIES):
        raise UserError(
            f"A comparison tells {len(SERIES)} series apart; this has {len(set(names))}."
        )
    return bars


def _line(reference: Reference | None) -> tuple[float, str] | None:
    if reference is None:
        return None
    if not isinstance(reference, tuple):
        return finite("its reference", reference), ""
    if len(reference) != 2:
        raise UserError(f"A reference is a number or (number, words), and this is {reference!r}.")
    return finite("its reference", reference[0]), said("its reference", reference[1])


def _described(bars: list[Bar], unit: str, line: tuple[float, str] | None, title: str) -> str:
    """Say every figure of a few bars, the extremes of many."""
    if len(bars) > MOST_TOLD:
        ranked = sorted((bar for bar in bars if bar.value == bar.value), key=lambda bar: bar.value)
        ends = (f"{bar.name} with {amount(bar.value, unit)}" for bar in (ranked[0], ranked[-1]))
        text = f"Bar chart of {len(bars)} figures, {title}: from {' to '.join(ends)}."
    else:
        told: dict[str, list[str]] = {}
        for bar in bars:
            figures = told.setdefault(bar.group, [])
            figures.append(f"{bar.series} {amount(bar.value, unit)}".strip())
        colon = ":" if any(bar.series for bar in bars) else ""
        parts = (f"{group}{colon} {listed(figures)}" for group, figures in told.items())
        text = f"Bar chart, {title}: {'; '.join(parts)}."
    if line is None:
        return text
    return f"{text} The line at {amount(line[0], unit)} is {line[1] or 'the reference'}."

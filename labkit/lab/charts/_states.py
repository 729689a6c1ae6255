"""A state machine drawn from its table: a box for each state, an arrow for each change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import UserError
from labkit.lab.charts._chart import Chart
from labkit.lab.charts._states_drawn import PLACES, Arrow, Picture, drawn
from labkit.lab.charts._svg import render
from labkit.lab.charts._tables import needed, said
from labkit.lab.charts._words import listed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["states"]

ANY = "any"


def states(
    table: pd.DataFrame,
    state: str,
    event: str,
    then: str,
    *,
    title: str,
    alt: str | None = None,
    now: str | None = None,
) -> Chart:
    """Draw each row of a transition table as an arrow from `state` to `then`, named by `event`.

    Rows from "any" are written below the drawing.  `now` fills the box of one state.  Two to
    four states, in the order in which the table first names them.

    Raises UserError for what cannot be drawn.
    """
    title = said("a title", title)
    figures = needed(table, state, event, then)
    rows = [tuple(map(str, row)) for row in figures.itertuples(index=False)]
    arrows: dict[tuple[str, str], list[str]] = {}
    for was, what, becomes in rows:
        if was != ANY:
            arrows.setdefault((was, becomes), []).append(what)
    names = list(dict.fromkeys(name for pair in arrows for name in pair))
    if len(names) not in PLACES or any(was == becomes for was, becomes in arrows):
        raise UserError(
            f"A diagram shows two to four states and changes between them, and this has "
            f"{len(names)}."
        )
    if now is not None and now not in names:
        raise UserError(f"There is no state {now!r} in the diagram; it has {listed(names)}.")
    told = [f"{what}: {becomes}" for was, what, becomes in rows if was == ANY]
    changes = [Arrow(*pair, events) for pair, events in arrows.items()]
    words = said("its alt text", alt) if alt is not None else _described(changes, told, now)
    picture = Picture(names, changes, told, now)
    return Chart(render(drawn(picture), title, words), words, figures)


def _described(changes: list[Arrow], told: list[str], now: str | None) -> str:
    """Say every change."""
    parts = [f"{each.was} to {each.then} when {' or '.join(each.events)}" for each in changes]
    text = f"State diagram: {'; '.join(parts)}."
    if told:
        text += f" From any state: {'; '.join(told)}."
    return f"{text} Now: {now}." if now else text

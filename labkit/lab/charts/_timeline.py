"""The request timeline: a lane for each call, a bar for each attempt, a thin line for waiting.

How an attempt ended is told by the colour of its bar, by the shape at the bar's end and,
where there is room, by its status in words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import UserError
from labkit.lab.charts._chart import Chart
from labkit.lab.charts._lanes import MOST_LANES, lane_names, layout
from labkit.lab.charts._lanes_drawn import drawn
from labkit.lab.charts._svg import render
from labkit.lab.charts._tables import finite, known, needed, numbers, said
from labkit.lab.charts._theme import OUTCOMES
from labkit.lab.charts._words import counted, duration, listed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["timeline"]

COLUMNS = ("call", "attempt", "start_s", "end_s", "outcome", "label")


def timeline(
    attempts: pd.DataFrame, *, title: str, alt: str | None = None, deadline: float | None = None
) -> Chart:
    """Draw what each call did and when.

    `attempts` has a row for every attempt: `call` (a name or number), `attempt` (its number
    within the call), `start_s` and `end_s` (seconds on one clock), `outcome` (ok, error,
    rate_limited, unreachable or refused), `label` (such as "529"; may be empty) and, to set
    clients against each other, `client`.  Lanes keep the order of the table.  `deadline` is a
    point in time in seconds on the same clock.

    Raises UserError for a table that cannot be drawn, or of more than 120 calls.
    """
    title = said("a title", title)
    table = _checked(attempts)
    deadline = None if deadline is None else finite("its deadline", deadline)
    words = said("its alt text", alt) if alt is not None else _described(table, deadline)
    picture = drawn(layout(table, deadline))
    return Chart(render(picture, title, words), words, table)


def _checked(attempts: pd.DataFrame) -> pd.DataFrame:
    client = ("client",) if "client" in getattr(attempts, "columns", ()) else ()
    table = needed(attempts, *client, *COLUMNS)
    numbers(table, "attempt", "start_s", "end_s")
    known(table, "outcome", OUTCOMES)
    if table[[*client, "call", "attempt", "start_s", "end_s"]].isna().any(axis=None):
        raise UserError("Every attempt of a timeline needs its call, number, start and end.")
    backwards = table[table["end_s"] < table["start_s"]]
    if len(backwards):
        raise UserError(f"An attempt of call {backwards['call'].iloc[0]} ends before it starts.")
    lanes = len(table[[*client, "call"]].drop_duplicates())
    if lanes > MOST_LANES:
        raise UserError(
            f"A timeline shows at most {MOST_LANES} calls and this table has {lanes}: draw a part."
        )
    return table


def _described(table: pd.DataFrame, deadline: float | None) -> str:
    """Say how many calls of each client ended how, how long the longest took, and how many late."""
    length = duration(table["end_s"].max() - table["start_s"].min())
    clients = [("", table)]
    if "client" in table.columns:
        clients = [(f"{name}: ", rows) for name, rows in table.groupby("client", sort=False)]
    text = "; ".join(f"{name}{_fate(rows)}" for name, rows in clients)
    text = f"Request timeline over {length}. {text[0].upper()}{text[1:]}."
    if deadline is None:
        return text
    keys = [name for name in ("client", "call") if name in table.columns]
    ends = table.groupby(keys)["end_s"].max()
    late = int((ends > deadline).sum())
    told = (
        f"{counted(late, 'call')} of {len(ends)} end{'s' * (late == 1)}" if late else "No call ends"
    )
    return f"{text} {told} after the deadline at {duration(deadline)}."


def _fate(rows: pd.DataFrame) -> str:
    calls = rows.sort_values("attempt", kind="stable").groupby("call", sort=False)
    last = calls["outcome"].last()
    endings = [
        f"{n} end{'s' * (n == 1)} {look.fate}"
        for name, look in OUTCOMES.items()
        if (n := int((last == name).sum()))
    ]
    lengths = calls["end_s"].max() - calls["start_s"].min()
    told = f"{counted(len(last), 'call')}, {counted(len(rows), 'attempt')}: {listed(endings)}"
    longest = "it" if len(last) == 1 else f"the longest, {lane_names([lengths.idxmax()])[0]},"
    return f"{told}; {longest} takes {duration(lengths.max())}"

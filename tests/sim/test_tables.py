"""Tables of a simulation: the same from memory and from files, one column for each field."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from labkit.layers.breaker import Breaker
from labkit.layers.retry import Retry
from labkit.sim.faults import Fault
from labkit.sim.rows import AttemptRow, CallRow
from labkit.sim.simulate import simulate
from labkit.sim.tables import Simulation
from labkit.sim.traffic import Task, requests, steady

TABLES = ("calls", "attempts", "notes")


def played(into: Path | None = None, *, share: float = 0.4, until: float = 30) -> Simulation:
    """Simulate half a minute."""
    return simulate(
        requests(steady(5), until=until, mix=[Task("chat", prompt=300, output=40)], seed=2),
        stack=[Retry(3, seed=1), Breaker(seed=1)],
        api={"faults": [Fault("overloaded", share=share)]},
        into=into,
    )


@pytest.mark.parametrize("share", [0.4, 0.0])
@pytest.mark.parametrize("until", [30.0, 0.001])
def test_tables_from_files_are_those_from_memory(
    tmp_path: Path, share: float, until: float
) -> None:
    """Values and columns, with and without notes, and even where nothing has happened."""
    kept, written = played(share=share, until=until), played(tmp_path, share=share, until=until)
    for name in TABLES:
        ours, theirs = getattr(kept, name), getattr(written, name)
        assert_frame_equal(ours, theirs, check_dtype=len(ours) > 0)


def test_columns_are_the_fields_of_the_rows() -> None:
    """And each attribute of a note has one of its own."""
    found = played()
    assert tuple(found.calls.columns) == CallRow._fields
    assert tuple(found.attempts.columns) == AttemptRow._fields
    assert list(found.notes.columns[:3]) == ["call", "at_s", "note"]
    retries = found.notes[found.notes["note"] == "retry"]
    assert retries["attempt"].notna().all()


def test_a_table_is_made_once() -> None:
    """A second look costs nothing."""
    found = played()
    assert found.calls is found.calls
    assert isinstance(found.notes, pd.DataFrame)


def test_a_simulation_says_what_came_of_it() -> None:
    """Calls, answers and attempts, where a notebook shows it."""
    found = played(share=0.0)
    count = len(found.calls)
    assert repr(found) == f"<Simulation: {count} calls, {count} answered, {count} attempts>"
    nothing = played(until=0.001)
    assert repr(nothing) == "<Simulation: 0 calls, 0 answered, 0 attempts>"

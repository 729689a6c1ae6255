"""What came of a simulation, as tables: calls, attempts and what the layers noted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.sim.rows import AttemptRow, CallRow, Kept, NoteRow

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Simulation"]


class Simulation:
    """The rows of a simulation, kept in memory or in a folder, as pandas tables.

    All times are in seconds of virtual time.  A table is made, or read, when it is first asked
    for, and stays in memory from then on.
    """

    def __init__(self, rows: Kept | Path) -> None:
        self._rows = rows

    @cached_property
    def calls(self) -> pd.DataFrame:
        """One row a call, in the order in which they ended: see `labkit.sim.rows.CallRow`."""
        if isinstance(self._rows, Path):
            return _read(self._rows / "calls.csv")
        return _table(self._rows.calls, CallRow._fields)

    @cached_property
    def attempts(self) -> pd.DataFrame:
        """One row an attempt, in the order in which they ended: `labkit.sim.rows.AttemptRow`."""
        if isinstance(self._rows, Path):
            return _read(self._rows / "attempts.csv")
        return _table(self._rows.attempts, AttemptRow._fields)

    @cached_property
    def notes(self) -> pd.DataFrame:
        """One row a note: call, at_s, note, and a column for each attribute that occurs."""
        import pandas as pd

        columns = list(NoteRow._fields[:3])
        if isinstance(self._rows, Path):
            table = _read(self._rows / "notes.csv")
            attributes = [json.loads(text) for text in table.pop("attributes")]
        else:
            table = _table([row[:3] for row in self._rows.notes], columns)
            attributes = [row.attributes for row in self._rows.notes]
        return pd.concat([table, pd.DataFrame(attributes, index=table.index)], axis=1)

    def __repr__(self) -> str:
        calls, attempts = len(self.calls), len(self.attempts)
        answered = int(self.calls["ok"].sum())
        return f"<Simulation: {calls:,} calls, {answered:,} answered, {attempts:,} attempts>"


def _table(rows: Iterable[tuple[object, ...]], columns: Iterable[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(columns))


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    return pd.read_csv(path, keep_default_na=False)

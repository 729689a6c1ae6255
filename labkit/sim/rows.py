"""Where a fleet's rows go: counted, kept as tables, or streamed to a file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from labkit.flow import Note
from labkit.sim.fleet import AttemptRow, CallRow

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Kept", "Tally", "ToFile"]


class Tally:
    """Counts and forgets."""

    def __init__(self) -> None:
        self.calls = 0
        self.answered = 0
        self.attempts = 0

    def call(self, row: CallRow) -> None:
        """Count a call."""
        self.calls += 1
        self.answered += row.ok

    def attempt(self, row: AttemptRow) -> None:  # noqa: ARG002
        """Count an attempt."""
        self.attempts += 1

    def note(self, call: int, at: float, note: Note) -> None:
        """Let a note go."""


class Kept(Tally):
    """Keeps every row, for tables."""

    def __init__(self) -> None:
        super().__init__()
        self.call_rows: list[CallRow] = []
        self.attempt_rows: list[AttemptRow] = []
        self.notes: list[tuple[int, float, Note]] = []

    def call(self, row: CallRow) -> None:
        """Keep a call."""
        super().call(row)
        self.call_rows.append(row)

    def attempt(self, row: AttemptRow) -> None:
        """Keep an attempt."""
        super().attempt(row)
        self.attempt_rows.append(row)

    def note(self, call: int, at: float, note: Note) -> None:
        """Keep a note."""
        self.notes.append((call, at, note))

    def calls_table(self) -> pd.DataFrame:
        """Return one row a call, in the order in which they ended."""
        return _table(self.call_rows, CallRow._fields)

    def attempts_table(self) -> pd.DataFrame:
        """Return one row an attempt, in the order in which they ended."""
        return _table(self.attempt_rows, AttemptRow._fields)


class ToFile(Tally):
    """Writes every attempt to a CSV file as it ends, and keeps nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("w", encoding="utf-8", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow(AttemptRow._fields)

    def attempt(self, row: AttemptRow) -> None:
        """Write an attempt."""
        super().attempt(row)
        self._writer.writerow(row)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _table(rows: Sequence[tuple[object, ...]], columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(columns))

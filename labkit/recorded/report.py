"""The command behind `labkit ledger`: a table for people, CSV or JSON for programs.

The JSON is a list of calls; costs are written as exact numbers, not as strings.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from csv import writer
from dataclasses import dataclass
from decimal import Decimal
from io import StringIO
from json import dumps
from pathlib import Path

from labkit.errors import UserError
from labkit.recorded.call import COLUMNS, RecordedCall
from labkit.recorded.reader import read
from labkit.recorded.table import as_text, plain

__all__ = ["Question", "as_csv", "as_json", "ledger"]


@dataclass(frozen=True, slots=True)
class Question:
    """What else is asked about a bill: what it went on, what it would have been otherwise.

    `models` and `trim` are those of `labkit.recorded.what_if`, and imply the second question.
    """

    explain: bool = False
    what_if: bool = False
    models: tuple[str, ...] = ()
    trim: int | None = None

    @property
    def supposes(self) -> bool:
        """Whether alternatives are asked for."""
        return self.what_if or bool(self.models) or self.trim is not None


def ledger(
    paths: Sequence[Path],
    *,
    csv: bool = False,
    json: bool = False,
    question: Question | None = None,
) -> int:
    """Print what recorded calls used and cost; remarks about files go to standard error.

    Returns the exit code: 2 if a file could not be read or none held a call, else 0.  Raises
    `UserError` when asked for both CSV and JSON, for a question with either, or for no file.
    """
    asked = question or Question()
    if csv and json:
        raise UserError("CSV and JSON were both asked for; choose one of them.")
    if (csv or json) and (asked.explain or asked.supposes):
        raise UserError("An explanation is text; leave out --csv and --json.")
    if not paths:
        raise UserError("No file was named; name recordings or folders that hold some.")
    reading = read(paths)
    for remark in reading.remarks:
        print(f"{remark.file}: {remark.sentence}", file=sys.stderr)
    if json:
        _write(as_json(reading.calls) + "\n")
    elif csv:
        _write(as_csv(reading.calls))
    elif asked.explain or asked.supposes:
        _answer(reading.calls, asked)
    elif reading.calls:
        _write(as_text(reading.calls))
    return reading.exit_code


def _answer(calls: Sequence[RecordedCall], asked: Question) -> None:
    from labkit.recorded.bill import explain
    from labkit.recorded.bill_text import alternatives_text, explained_text
    from labkit.recorded.what_if import what_if

    if calls and asked.explain:
        _write(explained_text(explain(calls)))
    if calls and asked.supposes:
        found = what_if(calls, models=asked.models, trim=asked.trim)
        _write(alternatives_text(found))


def _write(text: str) -> None:
    """Write to the standard output, with a question mark for what its encoding lacks."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "replace").decode(encoding))


def as_json(calls: Iterable[RecordedCall]) -> str:
    """Write calls as a JSON list of objects; what is None is null."""
    rows = [
        "{" + ", ".join(f'"{name}": {_number(getattr(call, name))}' for name in COLUMNS) + "}"
        for call in calls
    ]
    return "[\n" + ",\n".join(rows) + "\n]" if rows else "[]"


def as_csv(calls: Iterable[RecordedCall]) -> str:
    """Write calls as CSV with a header line; what is None is an empty cell."""
    page = StringIO(newline="")
    sheet = writer(page, lineterminator="\n")
    sheet.writerow(COLUMNS)
    for call in calls:
        cells = (getattr(call, name) for name in COLUMNS)
        sheet.writerow(plain(cell) if isinstance(cell, Decimal) else cell for cell in cells)
    return page.getvalue()


def _number(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else dumps(value)

"""Read recorded Messages exchanges, whoever recorded them, and say what they used and cost."""

from __future__ import annotations

from labkit.recorded.call import COLUMNS, RecordedCall
from labkit.recorded.reader import Reading, Remark, read
from labkit.recorded.report import as_csv, as_json, ledger

__all__ = [
    "COLUMNS",
    "Reading",
    "RecordedCall",
    "Remark",
    "as_csv",
    "as_json",
    "ledger",
    "read",
]

"""The engine's log, read: one line for each decision."""

from __future__ import annotations

from typing import NamedTuple


class LogLine(NamedTuple):
    """A line of the engine's log, read."""

    number: int
    at: float
    model: str
    fault: str
    refused: str
    uncached: int
    read: int
    written_5m: int
    written_1h: int
    output: int
    first_token_s: float
    duration_s: float


def parse(line: str) -> LogLine:
    """Read a line of the log."""
    kinds = (int, float, str, str, str, int, int, int, int, int, float, float)
    return LogLine._make(kind(word) for kind, word in zip(kinds, line.split(), strict=True))

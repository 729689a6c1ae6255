"""Real traffic from public traces, read row by row: Azure's LLM trace and BurstGPT.

Azure: `TIMESTAMP,ContextTokens,GeneratedTokens`, times as dates.  BurstGPT:
`Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type`, times in seconds;
a row with no response tokens is a failed request of theirs and is left out.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from math import inf
from pathlib import Path

from labkit.errors import UserError
from labkit.sim.figures import need_numbers
from labkit.sim.traffic import Arrival

__all__ = ["read_trace"]

AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
BURSTGPT = ("Timestamp", "Model", "Request tokens", "Response tokens", "Total tokens", "Log Type")
Row = tuple[float, int, int, str]
"""(seconds, prompt tokens, answer tokens, kind)"""


def read_trace(
    path: Path | str, *, model: str, time_scale: float = 1.0, volume: float = 1.0, seed: int = 0
) -> Iterator[Arrival]:
    """Yield the trace's requests as calls to `model`, the first at time 0.

    `time_scale` 0.5 plays it in half the time; `volume` 0.1 keeps every tenth request and 3
    makes three of each (by seeded dice where the share is not whole).  Raises UserError, with
    the line, for a file that is missing or no trace, or times that run backwards.
    """
    path = Path(path)
    need_numbers("A trace", time_scale=time_scale, volume=volume)
    if not (0 < time_scale < inf and 0 < volume < inf):
        raise UserError("A trace's time scale and volume must be above zero.")
    dice = random.Random(seed)
    first: float | None = None
    latest = 0.0
    for line, (seconds, prompt, output, kind) in _rows(path):
        first = seconds if first is None else first
        at = (seconds - first) * time_scale
        if at < latest:
            raise UserError(f"{path.name}, line {line}: the time runs backwards.")
        latest = at
        for _ in range(int(volume) + (dice.random() < volume % 1)):
            yield Arrival(at, model, prompt, output, max_tokens=max(1, output), kind=kind)


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        file = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        raise UserError(f"The trace {path} cannot be read ({error.strerror}).") from None
    with file:
        table = csv.DictReader(_text(file, path))
        names = tuple(name.strip() for name in table.fieldnames or ())
        read = _reader(names, path)
        for row in table:
            try:
                found = read(row)
            except (ValueError, KeyError, TypeError, AttributeError):
                raise _no_row(path, table.line_num) from None
            if found is None:
                continue
            if not (0 <= found[0] < inf and min(found[1:3]) >= 0):
                raise _no_row(path, table.line_num)
            yield table.line_num, found


def _text(file: Iterable[str], path: Path) -> Iterator[str]:
    try:
        for line in file:
            yield line.replace("\0", "")
    except UnicodeDecodeError:
        raise UserError(f"{path.name} is no trace: it is not text.") from None


def _no_row(path: Path, line: int) -> UserError:
    return UserError(f"{path.name}, line {line}: this is not a row of the trace.")


def _reader(names: tuple[str, ...], path: Path) -> Callable[[Mapping[str, str]], Row | None]:
    if names == AZURE:
        return _azure
    if names == BURSTGPT:
        return _burstgpt
    raise UserError(
        f"{path.name} is no trace this reads: its first line must be {','.join(AZURE)} "
        f"or {','.join(BURSTGPT)}."
    )


def _azure(row: Mapping[str, str]) -> Row:
    day, _, time = row["TIMESTAMP"].partition(" ")
    clock, _, fraction = time.partition(".")  # seven digits, one more than datetime reads
    whole = datetime.fromisoformat(f"{day} {clock}+00:00").timestamp()
    seconds = whole + float(f"0.{fraction or 0}")
    return seconds, int(row["ContextTokens"]), int(row["GeneratedTokens"]), "trace"


def _burstgpt(row: Mapping[str, str]) -> Row | None:
    answer = int(row["Response tokens"])
    if answer == 0:
        return None
    kind = row["Log Type"].strip().lower().replace(" ", "-")
    return float(row["Timestamp"]), int(row["Request tokens"]), answer, kind

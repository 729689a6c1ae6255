"""What can be read from the file of a batch job: how far it is, its results and their cost."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from labkit.batch_file import JobFile
from labkit.batch_rows import Row, spelled
from labkit.pricing import Usage, cost, total

__all__ = ["JobCounts", "bill", "counts", "results", "rows", "save"]


@dataclass(frozen=True, slots=True)
class JobCounts:
    """How far a job is: rows by where they are, results by kind, and batches not yet collected.

    `sent` includes the rows of batches whose fate is uncertain.
    """

    rows: int
    waiting: int
    sent: int
    kinds: Mapping[str, int]
    open: int

    @property
    def done(self) -> int:
        """Rows with a result."""
        return sum(self.kinds.values())

    @property
    def finished(self) -> bool:
        """Whether every row has its result."""
        return self.done == self.rows


def counts(file: JobFile) -> JobCounts:
    """Count; an index answers, so this is cheap for 100,000 rows too."""
    states = dict(file.db.execute("SELECT state, count(*) FROM rows GROUP BY state"))
    kinds = dict(file.db.execute("SELECT kind, count(*) FROM results GROUP BY kind"))
    asked = "SELECT count(*) FROM parts WHERE state IN ('sending', 'open', 'ended')"
    (still_open,) = file.db.execute(asked).fetchone()
    waiting, sent = states.get("waiting", 0), states.get("sent", 0) + states.get("live", 0)
    return JobCounts(sum(states.values()), waiting, sent, kinds, still_open)


def rows(file: JobFile) -> Iterator[Row]:
    """Yield the rows that were given."""
    for custom_id, params in file.db.execute("SELECT custom_id, params FROM rows ORDER BY number"):
        yield {"custom_id": custom_id, "params": json.loads(params)}


def results(file: JobFile) -> Iterator[dict[str, Any]]:
    """Yield the results in the order of the rows."""
    found = file.db.execute(
        "SELECT custom_id, line FROM results JOIN rows USING (number) ORDER BY number"
    )
    for custom_id, line in found:
        yield {"custom_id": custom_id, "result": json.loads(line)}


def save(file: JobFile, path: Path) -> int:
    """Write the results to a file that nobody ever sees half-written; return how many."""
    beside = path.with_name(f".{path.name}.part")
    with beside.open("w", encoding="utf-8", newline="\n") as out:
        written = sum(1 for line in results(file) if out.write(spelled(line) + "\n"))
        out.flush()
        os.fsync(out.fileno())
    beside.replace(path)
    return written


def bill(file: JobFile) -> Decimal:
    """Add up what the answers report to have used; what failed is free.

    So is a refusal before any output (claude-api.md 1.2).
    """
    found = file.db.execute("SELECT line FROM results WHERE kind = 'succeeded'")
    messages = (json.loads(line)["message"] for (line,) in found)
    return total(
        cost(each["model"], Usage.from_api(each["usage"]))
        for each in messages
        if each["stop_reason"] != "refusal" or each["usage"]["output_tokens"]
    )

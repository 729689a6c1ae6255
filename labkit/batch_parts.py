"""What becomes of a job's rows, step by step, each step one transaction.

A row's way: waiting, sent with a part, and then done with a result, or waiting again if it
errored for a passing reason or expired.  A step that died half-way has not happened.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.batch_file import JobFile
from labkit.batch_rows import spelled

__all__ = ["Part", "Parts", "finish", "will_be_sent_again"]

PASSING = frozenset({"api_error", "overloaded_error", "timeout_error", "rate_limit_error"})
"""Error types that another attempt can mend (claude-api.md 3.1)."""
FRAME = 48
"""Bytes of a row on the wire besides its params and its name."""


@dataclass(frozen=True, slots=True)
class Part:
    """A batch of ours: `mark` begins every `custom_id` on the wire; `id` is None if not noted.

    `newest_id` and `newest_at` tell which batch was the newest when this one was about to be
    sent; `canceled` says that we asked for its end.
    """

    number: int
    size: int
    mark: str
    id: str | None
    newest_id: str | None
    newest_at: str | None
    canceled: bool


def will_be_sent_again(result: Mapping[str, Any], tries: int, attempts: int, ours: bool) -> bool:
    """Say whether a row goes into another batch: errored for a passing reason, or expired.

    `tries` of `attempts` have failed before.  A row that was canceled goes again if the
    cancellation was `ours`, since the job was only interrupted.

    >>> will_be_sent_again({"type": "expired"}, 0, 3, False)
    True
    """
    if result["type"] == "canceled":
        return ours
    kind = ((result.get("error") or {}).get("error") or {}).get("type")
    passing = result["type"] == "expired" or (result["type"] == "errored" and kind in PASSING)
    return passing and tries + 1 < attempts


class Parts:
    """The steps, on a job's file; `name` begins what its rows are called on the wire."""

    def __init__(self, file: JobFile, name: str) -> None:
        self.file = file
        self.name = name

    def take(self, most_rows: int, most_bytes: int, newest: tuple[str, str] | None) -> Part:
        """Put the next rows that wait, at least one, into a part that is about to be sent."""
        with self.file.transaction() as db:
            numbers: list[tuple[int]] = []
            size = 0
            for number, params in self._waiting(db):
                size += len(params.encode()) + FRAME + len(self.name) + 16
                if numbers and (len(numbers) == most_rows or size > most_bytes):
                    break
                numbers.append((number,))
            insert = "INSERT INTO parts (size, newest_id, newest_at) VALUES (?, ?, ?)"
            made = db.execute(insert, (len(numbers), *(newest or (None, None)))).lastrowid
            db.executemany(
                f"UPDATE rows SET state = 'sent', part = {made:d} WHERE number = ?",  # noqa: S608
                numbers,
            )
        return next(part for part in self.in_state("sending") if part.number == made)

    def requests(self, part: Part) -> list[dict[str, Any]]:
        """Return a part as the API takes it."""
        found = self.file.db.execute(
            "SELECT number, params FROM rows WHERE state = 'sent' AND part = ? ORDER BY number",
            (part.number,),
        )
        return [
            {"custom_id": f"{part.mark}{number}", "params": json.loads(params)}
            for number, params in found
        ]

    def in_state(self, *states: str) -> list[Part]:
        """Return the parts in any of some states."""
        found = self.file.db.execute(
            "SELECT number, size, id, newest_id, newest_at, canceled FROM parts "
            "WHERE state IN (SELECT value FROM json_each(?)) ORDER BY number",
            (json.dumps(states),),
        )
        return [
            Part(number, size, f"{self.name}-{number}-", name, newest_id, newest_at, bool(canceled))
            for number, size, name, newest_id, newest_at, canceled in found
        ]

    def ids(self) -> set[str]:
        """Return the ids of all batches that are known to be ours."""
        return {name for (name,) in self.file.db.execute("SELECT id FROM parts WHERE id NOTNULL")}

    def move(self, part: Part, state: str, batch_id: str | None = None) -> None:
        """Note the state of a part, and its id once it is known."""
        with self.file.transaction() as db:
            change = "UPDATE parts SET state = ?, id = coalesce(?, id) WHERE number = ?"
            db.execute(change, (state, batch_id, part.number))

    def void(self, part: Part) -> None:
        """Note that a part never came to be; its rows wait again."""
        with self.file.transaction() as db:
            db.execute("UPDATE parts SET state = 'void' WHERE number = ?", (part.number,))
            back = (
                "UPDATE rows SET state = 'waiting', part = NULL WHERE state = 'sent' AND part = ?"
            )
            db.execute(back, (part.number,))

    def cancel(self, part: Part) -> None:
        """Note that we are about to cancel a part."""
        with self.file.transaction() as db:
            db.execute("UPDATE parts SET canceled = 1 WHERE number = ?", (part.number,))

    def settle(self, part: Part, lines: Iterable[Mapping[str, Any]], attempts: int) -> None:
        """Take in some lines of a part's results; a line that was there before changes nothing."""
        with self.file.transaction() as db:
            for line in lines:
                number = int(line["custom_id"].removeprefix(part.mark))
                asked = "SELECT tries FROM rows WHERE number = ? AND part = ? AND state = 'sent'"
                found = db.execute(asked, (number, part.number)).fetchone()
                if found is None:
                    continue
                result = line["result"]
                if will_be_sent_again(result, found[0], attempts, part.canceled):
                    again = (
                        "UPDATE rows SET state = 'waiting', part = NULL, tries = ? WHERE number = ?"
                    )
                    db.execute(again, (found[0] + (result["type"] != "canceled"), number))
                else:
                    finish(db, number, result)

    def missing(self, part: Part) -> int:
        """Return how many rows of a part have no result yet."""
        asked = "SELECT count(*) FROM rows WHERE state = 'sent' AND part = ?"
        return int(self.file.db.execute(asked, (part.number,)).fetchone()[0])

    def _waiting(self, db: sqlite3.Connection) -> Iterator[tuple[int, str]]:
        return db.execute(
            "SELECT number, params FROM rows WHERE state = 'waiting' AND part IS NULL "
            "ORDER BY number"
        )


def finish(db: sqlite3.Connection, number: int, result: Mapping[str, Any]) -> None:
    """Store the result of a row, once and for all, inside a transaction."""
    db.execute("UPDATE rows SET state = 'done' WHERE number = ?", (number,))
    insert = "INSERT OR IGNORE INTO results VALUES (?, ?, ?)"
    db.execute(insert, (number, result["type"], spelled(result)))

"""The response cache's entries in one SQLite file, shared by the processes of a machine."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from labkit.layers.sqlite_file import SqliteFile

__all__ = ["SqliteStore"]

MARK = 0x6C6B6361
"""The file's application id: "lkca"."""
TABLES = (
    "CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL,"
    " tenant TEXT NOT NULL, text TEXT NOT NULL, until REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS by_until ON entries (until)",
    "CREATE INDEX IF NOT EXISTS by_tenant ON entries (tenant)",
    "CREATE TABLE IF NOT EXISTS claims (name TEXT PRIMARY KEY, owner TEXT NOT NULL,"
    " until REAL NOT NULL) WITHOUT ROWID",
)


class SqliteStore:
    """Keeps the `most` entries stored last in the file at `path`, made when it is first needed.

    `today` is the clock that entries live by, in seconds: the time of day, so that they outlive
    the process.  Raises ValueError for less than one entry, and nothing else ever.
    """

    instant = False

    def __init__(
        self, path: Path | str, most: int = 10_000, *, today: Callable[[], float] = time.time
    ) -> None:
        if most < 1:
            raise ValueError(f"A store holds at least one entry, not {most}.")
        self.most, self._clock = most, today
        self.file = SqliteFile(Path(path).absolute(), MARK, TABLES)
        self._owner = uuid4().hex

    @property
    def trouble(self) -> str:
        """What is the matter with the file, "" if nothing is."""
        return self.file.trouble

    def today(self, now: float) -> float:  # noqa: ARG002
        """Return the time of day."""
        return self._clock()

    def get(self, name: str) -> str | None:
        """Return an entry's text."""

        def read(db: sqlite3.Connection) -> str | None:
            row = db.execute("SELECT text FROM entries WHERE name = ?", (name,)).fetchone()
            return row[0] if row is not None and isinstance(row[0], str) else None

        return self.file.ask(read, None)

    def put(self, name: str, tenant: str, text: str, now: float, until: float) -> None:
        """Keep a text, let go of what is out of date and, beyond `most`, of the oldest."""

        def write(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM entries WHERE until <= ?", (now,))
            db.execute("DELETE FROM claims WHERE name = ? OR until <= ?", (name, now))
            db.execute(
                "INSERT OR REPLACE INTO entries (name, tenant, text, until) VALUES (?, ?, ?, ?)",
                (name, tenant, text, until),
            )
            (held,) = db.execute("SELECT count(*) FROM entries").fetchone()
            if held > self.most:
                db.execute(
                    "DELETE FROM entries WHERE number IN"
                    " (SELECT number FROM entries ORDER BY number LIMIT ?)",
                    (held - self.most,),
                )

        self.file.ask(write, None)

    def claim(self, name: str, now: float, until: float) -> bool:
        """Claim what is missing, unless another process has."""

        def write(db: sqlite3.Connection) -> bool:
            done = db.execute(
                "INSERT INTO claims VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET"
                " owner = excluded.owner, until = excluded.until"
                " WHERE owner = excluded.owner OR until <= ?",
                (name, self._owner, until, now),
            )
            return done.rowcount > 0

        return self.file.ask(write, True)

    def release(self, name: str) -> None:
        """End one's own claim."""
        mine = (name, self._owner)
        self.file.ask(
            lambda db: db.execute("DELETE FROM claims WHERE name = ? AND owner = ?", mine), None
        )

    def forget(self, tenant: str) -> int:
        """Delete a tenant's entries, from the write-ahead log too unless others are reading it."""

        def write(db: sqlite3.Connection) -> int:
            return db.execute("DELETE FROM entries WHERE tenant = ?", (tenant,)).rowcount

        gone = self.file.ask(write, 0)
        self.file.sweep()
        return gone

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        self.file.close()

    def __len__(self) -> int:
        def count(db: sqlite3.Connection) -> int:
            return int(db.execute("SELECT count(*) FROM entries").fetchone()[0])

        return self.file.ask(count, 0)

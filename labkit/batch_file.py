"""The file of a batch job: rows, batches and results in one SQLite database that outlives us.

SQLite rather than a journal of lines, since a job needs what it gives for nothing: transactions
that are whole or not there after a kill -9, an index that finds a repeated `custom_id` among
100,000 without holding them in memory, and a lock that dies with its process, so that no two
programs ever send the same job.

    rows     number, custom_id, params, state, part (the batch it is in), tries (failed so far)
    parts    number, size, state, id, and what was the newest batch before it was sent
    results  number, kind, line: there once and for all

A row is waiting, sent, live (under way in the live lane) or done.  A part is sending (asked for,
its id not yet noted), open, ended, collected, or void (it never came to be).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.database import code_of, mark_of, open_owned, transaction
from labkit.errors import UserError

__all__ = ["JobFile"]

SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rows (
    number INTEGER PRIMARY KEY, custom_id TEXT NOT NULL UNIQUE, params TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting', part INTEGER, tries INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX rows_by_state ON rows (state, part);
CREATE TABLE parts (
    number INTEGER PRIMARY KEY, size INTEGER NOT NULL, state TEXT NOT NULL DEFAULT 'sending',
    id TEXT UNIQUE, newest_id TEXT, newest_at TEXT, canceled INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE results (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, line TEXT NOT NULL);
CREATE INDEX results_by_kind ON results (kind);
"""
SETTINGS = ("locking_mode = EXCLUSIVE", "journal_mode = TRUNCATE", "synchronous = FULL")
"""The lock stays for as long as the file is open."""
OURS = 0x4C424A31
"""Marks the file as a batch job's, first version (SQLite's `application_id`)."""


class JobFile:
    """One job's database, made if it does not exist, readable by its owner alone.

    It belongs to one process at a time, and to the thread that opened it.  Raises `UserError`
    for a file that is something else, that another process has open, or that cannot be used.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        try:
            with self._plainly():
                self.db = open_owned(self.path, patience_s=0, settings=SETTINGS, threads=False)
        except OSError as error:
            raise UserError(f"The job file {path} cannot be made: {error.strerror}.") from None
        try:
            self._prepare()
        except BaseException:
            self.db.close()
            raise

    def close(self) -> None:
        """Close it, and let others have it."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give the database; what the block changes is on the disk, whole or not at all.

        Raises `UserError` where the file cannot be read or written.
        """
        with self._plainly(), transaction(self.db) as db:
            yield db

    def fact(self, name: str) -> str | None:
        """Return what was noted under a name."""
        found = self.db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def note(self, name: str, value: str) -> None:
        """Note a fact about the job, inside a transaction."""
        self.db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    def _prepare(self) -> None:
        with self.transaction() as db:
            mark = mark_of(db)
            if mark not in (None, OURS):
                raise UserError(f"{self.path} is not the file of a batch job: choose another path.")
            if mark is None:
                for statement in SCHEMA.split(";"):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {OURS}")
            # What died in the live lane is asked again: nobody can say what became of it.
            db.execute("UPDATE rows SET state = 'waiting', part = NULL WHERE state = 'live'")

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Turn SQLite's errors into sentences."""
        try:
            yield
        except sqlite3.Error as error:
            code = code_of(error)
            if code == sqlite3.SQLITE_BUSY:
                said = "is in use: another program is working on this job"
            elif code == sqlite3.SQLITE_NOTADB:
                said = "is no database: choose another path"
            else:
                said = f"cannot be used ({error}); what was saved before is still there"
            raise UserError(f"The job file {self.path} {said}.") from None

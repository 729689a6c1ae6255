"""A SQLite file that may fail: its owner's alone, and as if empty where it cannot be used.

In write-ahead mode nobody waits for a reader, and a process may be killed at any moment.  A file
that is damaged, or somebody else's database, is left as it is.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from labkit.database import code_of, mark_of, open_owned, transaction

__all__ = ["SqliteFile"]

T = TypeVar("T")
PATIENCE_S = 1.0
"""How long one waits for another process's write, and then does without."""
SETTINGS = ("synchronous = NORMAL", "secure_delete = ON")
LASTING = frozenset({sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT})
"""What does not pass: the file is not asked again."""


class _Foreign(sqlite3.DatabaseError):
    """A database that somebody else has made."""


class SqliteFile:
    """The file at `path`, made with `tables` when it is first needed; `mark` tells it from others.

    `trouble` says what is the matter, "" while all is well.  Threads take turns; after a fork each
    process opens it anew.
    """

    def __init__(self, path: Path, mark: int, tables: Sequence[str]) -> None:
        self.path, self.trouble = path, ""
        self._mark, self._tables = mark, tables
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._process, self._useless = 0, False

    def ask(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Return what the work returns, done as a whole or not at all; it never raises."""
        if self._useless:
            return otherwise
        with self._lock:
            try:
                with transaction(self._usable(), write=False) as db:
                    done = work(db)
            except (sqlite3.Error, OSError) as error:
                self._failed(error)
                return otherwise
        self.trouble = ""
        return done

    def sweep(self) -> None:
        """Take what was deleted out of the write-ahead log, unless others are reading it."""
        with self._lock, suppress(sqlite3.Error):
            if self._db is not None and self._process == os.getpid():
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        with self._lock, suppress(sqlite3.Error):
            db, self._db = self._db, None
            if db is not None and self._process == os.getpid():
                db.close()

    def _usable(self) -> sqlite3.Connection:
        if self._db is None or self._process != os.getpid():
            self._db, self._process = self._opened(), os.getpid()
        return self._db

    def _opened(self) -> sqlite3.Connection:
        db = open_owned(self.path, patience_s=PATIENCE_S, settings=SETTINGS)
        try:
            if mark_of(db) != self._mark:
                self._furnish(db)
            with suppress(sqlite3.OperationalError):  # another process is doing this just now
                db.execute("PRAGMA journal_mode = WAL").fetchone()
        except BaseException:
            db.close()
            raise
        return db

    def _furnish(self, db: sqlite3.Connection) -> None:
        """Make the tables of a new file; of several processes the first does it."""
        with transaction(db):
            mark = mark_of(db)
            if mark == self._mark:
                return
            if mark is not None:
                raise _Foreign("it is somebody else's database")
            for table in self._tables:
                db.execute(table)
            db.execute(f"PRAGMA application_id = {self._mark}")

    def _failed(self, error: Exception) -> None:
        code = code_of(error)
        self._useless = code in LASTING or isinstance(error, _Foreign)
        advice = ": delete it, or name another" if self._useless else ""
        said = (
            f"The response cache {self.path} cannot be used ({error}) and is as if empty{advice}."
        )
        if said != self.trouble:
            logging.getLogger("labkit").warning(said)
        self.trouble = said

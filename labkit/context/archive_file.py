"""The archive's file: its owner's alone, changed in whole transactions, errors said plainly.

SQLite in write-ahead mode: what a transaction has committed survives the death of the process
and, as every commit reaches the disk first, that of the machine; what it has not is as if it had
never been.  Writers of several processes take turns.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labkit.context.archive_schema import migrate
from labkit.database import code_of, open_owned, transaction
from labkit.errors import ArchiveBroken, UserError

__all__ = ["ArchiveFile"]

PATIENCE_S = 60.0
"""How long one waits for the others' transactions."""
SETTINGS = ("foreign_keys = ON", "synchronous = FULL", "secure_delete = ON")
SAFE = "What was saved before is still there"
DAMAGED = "is damaged or is no database ({error}). It was left as it is: restore a copy of it"
UNWRITABLE = f"could not be written ({{error}}), so this change was not made. {SAFE}: make room"
REASONS = {
    sqlite3.SQLITE_NOTADB: DAMAGED,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_FULL: UNWRITABLE,
    sqlite3.SQLITE_IOERR: UNWRITABLE,
    sqlite3.SQLITE_BUSY: f"is kept busy by other programs, nothing was changed. {SAFE}: try again",
    sqlite3.SQLITE_READONLY: "may not be written to, nothing was changed: look at its rights",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened ({error}): look at the path and its rights",
}
OTHERWISE = f"could not do that ({{error}}), nothing was changed. {SAFE}"


class ArchiveFile:
    """One SQLite file; its transactions may be used from several threads, one at a time.

    A file that does not exist is made, readable by its owner alone.  Raises `UserError` for a
    file that is not the archive's, and `ArchiveBroken` for one that cannot be used.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._db: sqlite3.Connection | None = None
        with self._plainly():
            self._db = self._opened()

    def close(self) -> None:
        """Close the file; twice does no harm."""
        with self._lock, self._plainly():
            if self._db is not None and self._process == os.getpid():
                self._db.close()
            self._db = None

    @contextmanager
    def transaction(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """Give the database as of one moment; what the block changes is made whole or not at all.

        Raises `ArchiveBroken` where the disk is full, the file damaged or others keep it busy.
        """
        with self._lock, self._plainly(), transaction(self._usable(), write=write) as db:
            yield db

    def sweep(self) -> None:
        """Take what was deleted out of the write-ahead log too, which others must not be reading.

        Raises `ArchiveBroken` if somebody goes on reading an old state of it.
        """
        with self._lock, self._plainly():
            (busy, *_) = self._usable().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise ArchiveBroken(
                f"The data is deleted, but {self.path}-wal still holds traces that another program "
                "is reading: delete again when it has closed the archive."
            )

    def _usable(self) -> sqlite3.Connection:
        if self._db is None:
            raise UserError(f"The archive {self.path} has been closed: open it again.")
        if self._process != os.getpid():
            raise UserError(f"The archive {self.path} was opened before a fork: open it after.")
        return self._db

    def _opened(self) -> sqlite3.Connection:
        try:
            db = open_owned(self.path, patience_s=PATIENCE_S, settings=SETTINGS)
        except OSError as error:
            raise UserError(f"The archive {self.path} cannot be made: {error.strerror}.") from None
        try:
            migrate(db)
            db.execute("PRAGMA journal_mode = WAL")
        except UserError as error:
            db.close()
            raise UserError(f"The archive {self.path} cannot be used: {error}.") from None
        except BaseException:
            db.close()
            raise
        return db

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        """Turn SQLite's errors into sentences."""
        try:
            yield
        except sqlite3.Error as error:
            reason = REASONS.get(code_of(error), OTHERWISE)
            said = reason.format(error=error)
            raise ArchiveBroken(f"The archive {self.path} {said}.") from None

"""SQLite as all of labkit uses it: a file of its owner's alone, changed whole or not at all.

What a file holds, and which sentence its user reads when something is the matter, is the business
of the modules that open one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["code_of", "mark_of", "open_owned", "transaction"]


class _Released(sqlite3.Connection):
    """A connection that is closed when nobody holds it any more: a layer has no end of its own."""

    def __del__(self) -> None:
        with suppress(sqlite3.Error):  # in another thread, which leaves it to SQLite
            self.close()


def open_owned(
    path: Path, *, patience_s: float, settings: Sequence[str] = (), threads: bool = True
) -> sqlite3.Connection:
    """Open a database, made readable by its owner alone if it does not exist.

    One waits `patience_s` seconds for the transactions of others.  `settings` are SQLite's
    pragmas, as in "synchronous = FULL"; `threads` allows other threads than this one to use the
    connection, one at a time.  Raises `OSError` where the file cannot be made, and `sqlite3.Error`
    where it is no database or cannot be used.
    """
    with suppress(FileExistsError):  # SQLite would make it for everybody to read
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    # Without an isolation level Python begins no transactions of its own.
    db = sqlite3.connect(
        path,
        timeout=patience_s,
        isolation_level=None,
        check_same_thread=not threads,
        factory=_Released,
    )
    try:
        for setting in settings:
            db.execute(f"PRAGMA {setting}")
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def transaction(db: sqlite3.Connection, *, write: bool = True) -> Iterator[sqlite3.Connection]:
    """Give the database as of one moment; what the block changes is made whole or not at all.

    A writer takes its turn before the block begins; with `write=False` it does so at its first
    change, and reads without waiting.  Raises `sqlite3.Error`, inside of another transaction too,
    which goes on undisturbed.
    """
    inside = db.in_transaction
    try:
        db.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        yield db
        db.execute("COMMIT")
    except BaseException:
        if not inside:
            with suppress(sqlite3.Error):  # nothing to take back, or the first error is to be told
                db.execute("ROLLBACK")
        raise


def mark_of(db: sqlite3.Connection) -> int | None:
    """Return whose database it is, its `application_id`; 0 is nobody's, None that it is empty."""
    # The mark is read last: tables and mark come together, perhaps just now, from elsewhere.
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    (mark,) = db.execute("PRAGMA application_id").fetchone()
    return int(mark) if mark or tables else None


def code_of(error: Exception) -> int:
    """Return SQLite's primary result code of an error, such as `sqlite3.SQLITE_BUSY`; 0 if none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF

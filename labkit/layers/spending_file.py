"""Spending that survives a crash: the same accounts in one SQLite file, shared by processes.

A reservation is on the disk before its request leaves, so after a crash whatever was under way
counts as spent until somebody settles it by hand.  Processes on the same file take turns, and
together they cross no limit either.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from labkit.database import mark_of, open_owned, transaction
from labkit.errors import UserError
from labkit.layers.spending import Line
from labkit.pricing import total

__all__ = ["SpendingFile"]

PATIENCE_S = 60.0
"""How long one process waits for the others' turns."""
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS account (name TEXT PRIMARY KEY, spent TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS line (
        number INTEGER PRIMARY KEY, account TEXT NOT NULL, model TEXT NOT NULL,
        reserved TEXT NOT NULL, cost TEXT, ending TEXT)""",
)
"""Amounts are decimals as text: SQLite's own numbers would round them."""
APPLICATION = 0x6C6B7370
"""Marks the file as one of these."""


class SpendingFile:
    """Keeps accounts in the file at `path`, made if need be and readable by its owner alone.

    Raises `UserError` for a file that is something else, or that cannot be read or written: then
    nothing is sent.  A write takes the time of the disk, during which the flows of this process
    wait.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()
        self._lock = threading.Lock()
        with self._plainly():
            settings = ("synchronous = FULL",)
            self._db = open_owned(self.path, patience_s=PATIENCE_S, settings=settings)
            try:
                self._prepare()
            except BaseException:
                self._db.close()
                raise

    def _prepare(self) -> None:
        if mark_of(self._db) not in (None, APPLICATION):
            raise UserError(f"{self.path} is a database of something else; name another file.")
        self._db.execute("PRAGMA journal_mode = WAL")
        with transaction(self._db):
            for statement in SCHEMA:
                self._db.execute(statement)
            self._db.execute(f"PRAGMA application_id = {APPLICATION}")

    def close(self) -> None:
        """Close the file; what is reserved stays reserved."""
        with self._lock, self._plainly():
            self._db.close()

    def reserve(self, account: str, amount: Decimal, limit: Decimal, model: str) -> int | None:
        """Reserve an amount and return the number of its line, None if that crosses the limit."""
        with self._turn() as db:
            spent = total([_spent(db, account), amount])
            if spent > limit:
                return None
            _write(db, account, spent)
            return db.execute(
                "INSERT INTO line (account, model, reserved) VALUES (?, ?, ?)",
                (account, model, str(amount)),
            ).lastrowid

    def settle(self, number: int, cost: Decimal | None, end: str) -> None:
        """Say how an attempt ended and what it cost, None where that is not known.

        It may be said again, when more is known, by another process too.  Raises `UserError` for
        a line that is not there.
        """
        with self._turn() as db:
            row = db.execute("SELECT * FROM line WHERE number = ?", (number,)).fetchone()
            if row is None:
                raise UserError(f"{self.path} has no line {number}.")
            old = _line(row)
            known = old.cost if cost is None else cost
            new = Line(number, old.account, old.model, old.reserved, known, end)
            spent = total([_spent(db, old.account), new.counted, -old.counted])
            _write(db, old.account, spent)
            db.execute(
                "UPDATE line SET cost = ?, ending = ? WHERE number = ?",
                (None if known is None else str(known), end, number),
            )

    def spent(self, account: str) -> Decimal:
        """Return the dollars spent and reserved on an account, by whatever process."""
        with self._lock, self._plainly():
            return _spent(self._db, account)

    def lines(self, account: str | None = None) -> list[Line]:
        """Return the lines of an account, or of all, in order.

        Those without a cost and an end are under way, or were when their process died.
        """
        query = "SELECT * FROM line WHERE account = coalesce(?, account) ORDER BY number"
        with self._lock, self._plainly():
            return [_line(row) for row in self._db.execute(query, (account,))]

    @contextmanager
    def _turn(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._plainly(), transaction(self._db) as db:
            yield db

    @contextmanager
    def _plainly(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UserError(
                f"What was spent cannot be kept in {self.path} ({error}), so nothing is sent."
            ) from None


def _spent(db: sqlite3.Connection, account: str) -> Decimal:
    row = db.execute("SELECT spent FROM account WHERE name = ?", (account,)).fetchone()
    return Decimal(0) if row is None else Decimal(row[0])


def _write(db: sqlite3.Connection, account: str, spent: Decimal) -> None:
    db.execute("INSERT OR REPLACE INTO account VALUES (?, ?)", (account, str(spent)))


def _line(row: tuple[int, str, str, str, str | None, str | None]) -> Line:
    number, account, model, reserved, cost, end = row
    known = None if cost is None else Decimal(cost)
    return Line(number, account, model, Decimal(reserved), known, end)

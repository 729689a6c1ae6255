"""Give a batch job its name and its rows, once; giving the same again changes nothing."""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
from collections.abc import Iterable

from labkit.batch_file import JobFile
from labkit.batch_rows import Row, read_row
from labkit.errors import UserError

__all__ = ["give_name", "give_rows"]

NAME = re.compile(r"[a-zA-Z0-9_]{1,40}")


def give_name(file: JobFile, name: str | None) -> str:
    """Return the name of a job, which it has from the day its file was made.

    None is any: a new file then gets one at random.  Raises `UserError` for another one.
    """
    if name is not None and not NAME.fullmatch(name):
        raise UserError(f"A job's name has 1 to 40 letters, digits or underscores, not {name!r}.")
    with file.transaction():
        known = file.fact("name")
        if known is None:
            known = name or f"job{secrets.token_hex(6)}"
            file.note("name", known)
    if name not in (None, known):
        raise UserError(f"The job in {file.path} is called {known!r}, not {name!r}.")
    return known


def give_rows(file: JobFile, rows: Iterable[Row]) -> int:
    """Take all rows in, or none; return how many there are.

    Raises `UserError` for a malformed row, a repeated `custom_id`, none, or other rows than those
    the job has.
    """
    digest, count = hashlib.sha256(), 0
    with file.transaction() as db:
        before = file.fact("rows")
        for count, row in enumerate(rows, 1):
            custom_id, params = read_row(count, row)
            digest.update(f"{custom_id}\n{params}\n".encode())
            if before is None:
                _insert(db, count, custom_id, params)
        if not count:
            raise UserError("A batch job needs at least one row.")
        seen = f"{count} {digest.hexdigest()}"
        if before not in (None, seen):
            raise UserError(
                f"{file.path} holds a job with other rows: give the same rows again to go on "
                "with it, or choose another path for a new job."
            )
        file.note("rows", seen)
    return count


def _insert(db: sqlite3.Connection, number: int, custom_id: str, params: str) -> None:
    insert = "INSERT INTO rows (number, custom_id, params) VALUES (?, ?, ?)"
    try:
        db.execute(insert, (number, custom_id, params))
    except sqlite3.IntegrityError:
        asked = "SELECT number FROM rows WHERE custom_id = ?"
        (first,) = db.execute(asked, (custom_id,)).fetchone()
        raise UserError(
            f"Rows {first} and {number} have the same custom_id {custom_id!r}: every row needs "
            "one of its own."
        ) from None

"""The tables of the archive, version by version, and how an older file becomes a new one.

A new file goes through the same steps as an old one, so there is one way to every version.  All
steps that are missing happen in one transaction: a process that dies on the way leaves the old
version, and of two that open an old file at once the second finds the work done.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable

from labkit.context.archive_turns import said_in
from labkit.database import mark_of, transaction
from labkit.errors import UserError

__all__ = ["APPLICATION", "STEPS", "VERSION", "index_words", "migrate"]

APPLICATION = 0x6C61626B
"""The mark in a database file that says whose it is: "labk"."""

TABLES = (
    "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)",
    """CREATE TABLE conversations (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user INTEGER NOT NULL REFERENCES users,
        title TEXT NOT NULL,
        turns INTEGER NOT NULL DEFAULT 0,
        started_at REAL NOT NULL,
        archived_at REAL)""",
    "CREATE INDEX conversations_by_user ON conversations (user)",
    # Without row ids the turns of a conversation lie side by side: loading reads them in one go.
    """CREATE TABLE turns (
        conversation INTEGER NOT NULL REFERENCES conversations,
        number INTEGER NOT NULL,
        at REAL NOT NULL,
        message TEXT NOT NULL,
        PRIMARY KEY (conversation, number)) WITHOUT ROWID""",
    """CREATE TRIGGER turns_are_append_only BEFORE UPDATE ON turns
        BEGIN SELECT RAISE(ABORT, 'a turn never changes'); END""",
)
SEARCH = (
    "ALTER TABLE conversations ADD COLUMN continues INTEGER REFERENCES conversations",
    """CREATE VIRTUAL TABLE words USING fts5 (
        owner, text, conversation UNINDEXED, number UNINDEXED,
        tokenize = 'unicode61 remove_diacritics 2')""",
)


def _first_tables(db: sqlite3.Connection) -> None:
    """Version 1: users, their conversations, the turns."""
    for statement in TABLES:
        db.execute(statement)


def _search(db: sqlite3.Connection) -> None:
    """Version 2: what a conversation continues, and full-text search over archived ones."""
    for statement in SEARCH:
        db.execute(statement)
    archived = "SELECT id, user FROM conversations WHERE archived_at IS NOT NULL"
    for conversation, user in db.execute(archived).fetchall():
        index_words(db, user, conversation)


STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first_tables, _search)
VERSION = len(STEPS)


def index_words(db: sqlite3.Connection, user: int, conversation: int) -> None:
    """Make a conversation's words findable for its user."""
    turns = db.execute(
        "SELECT number, message FROM turns WHERE conversation = ? ORDER BY number", (conversation,)
    )
    for number, message in turns.fetchall():
        text = said_in(json.loads(message)).encode("utf-8", "replace").decode()
        row = (f"u{user}", text, conversation, number)
        db.execute("INSERT INTO words (owner, text, conversation, number) VALUES (?, ?, ?, ?)", row)


def migrate(db: sqlite3.Connection) -> None:
    """Bring the file to this version of the tables, or leave it alone and raise `UserError`."""
    if _version(db) == VERSION:
        return
    with transaction(db):
        for step in STEPS[_version(db) :]:  # asked again: somebody else may have been faster
            step(db)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute(f"PRAGMA user_version = {VERSION}")


def _version(db: sqlite3.Connection) -> int:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    mark = mark_of(db)  # read last, as somebody may be making the file just now
    if mark != APPLICATION and (mark is not None or version):
        raise UserError("it is a database of another program, and was left as it is")
    if version > VERSION:
        raise UserError(
            f"it has version {version} of the tables, and this labkit knows {VERSION}: a newer "
            "one made it; the file was left as it is"
        )
    return int(version)

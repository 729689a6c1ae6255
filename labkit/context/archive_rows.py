"""What the archive reads and deletes: a user's conversations and their turns, nobody else's."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any

from labkit.errors import ArchiveBroken, UserError

__all__ = [
    "Conversation",
    "check_text",
    "conversation_of",
    "conversations_of",
    "delete_all_of",
    "turns_of",
]

COLUMNS = "id, title, turns, started_at, archived_at, continues"
OF_USER = "user = (SELECT id FROM users WHERE name = ?)"
LARGEST_NUMBER = 2**63


@dataclass(frozen=True, slots=True)
class Conversation:
    """What the archive knows about a conversation; times are seconds since 1970.

    `archived_at` is None while it goes on; `continues` is the conversation it took over from.
    """

    id: int
    title: str
    turns: int
    started_at: float
    archived_at: float | None
    continues: int | None


def conversations_of(db: sqlite3.Connection, user: str) -> list[Conversation]:
    """Return a user's conversations, oldest first."""
    check_text("user", user, least=1)
    rows = db.execute(
        f"SELECT {COLUMNS} FROM conversations WHERE {OF_USER} ORDER BY id",  # noqa: S608
        (user,),
    )
    return [Conversation(*row) for row in rows]


def conversation_of(db: sqlite3.Connection, user: str, conversation: int) -> Conversation:
    """Return one conversation; `UserError` where there is none, or it is somebody else's."""
    check_text("user", user, least=1)
    known = isinstance(conversation, int) and 0 <= conversation < LARGEST_NUMBER
    row = db.execute(
        f"SELECT {COLUMNS} FROM conversations WHERE id = ? AND {OF_USER}",  # noqa: S608
        (conversation if known else -1, user),
    ).fetchone()
    if row is None:
        raise UserError(f"User {user!r} has no conversation {conversation!r}.")
    return Conversation(*row)


def turns_of(db: sqlite3.Connection, found: Conversation) -> list[tuple[float, dict[str, Any]]]:
    """Return (time, message) of each turn; `ArchiveBroken` where one of them cannot be read."""
    rows = db.execute(
        "SELECT at, message FROM turns WHERE conversation = ? ORDER BY number", (found.id,)
    ).fetchall()
    try:
        turns = [(float(at), json.loads(message)) for at, message in rows]
    except (TypeError, ValueError):
        turns = []
    if len(turns) != found.turns:
        raise ArchiveBroken(
            f"The archive is damaged: conversation {found.id} should have {found.turns} turns, and "
            "not all of them can be read. Restore a copy of the file."
        )
    return turns


def delete_all_of(db: sqlite3.Connection, user: str) -> int:
    """Delete a user with everything that is theirs, and return how many turns that was."""
    turns = sum(found.turns for found in conversations_of(db, user))
    whose = db.execute("SELECT id FROM users WHERE name = ?", (user,)).fetchone()
    if whose is None:
        return 0
    theirs = "SELECT id FROM conversations WHERE user = ?"
    db.execute(f"DELETE FROM turns WHERE conversation IN ({theirs})", whose)  # noqa: S608
    gone = db.execute("DELETE FROM words WHERE words MATCH ?", (f'owner : "u{whose[0]}"',))
    if gone.rowcount:  # deleted words stay in the index until its parts are merged
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
    db.execute("DELETE FROM conversations WHERE user = ?", whose)
    db.execute("DELETE FROM users WHERE id = ?", whose)
    return turns


def check_text(what: str, text: str, *, least: int = 0) -> None:
    """Refuse what SQLite could not keep as text."""
    try:
        fits = isinstance(text, str) and len(text) >= least and "\0" not in text
        if fits:
            text.encode()
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise UserError(f"The {what} of a conversation is text, not {text!a:.60}.")

"""The archive: conversations of many users in one file, turn by turn, until they are complete.

    with Archive("chats.db") as archive:
        chat = archive.start("ada", {"role": "user", "content": "Is it paid?"}, title="Invoices")
        archive.append("ada", chat, {"role": "assistant", "content": "It is."})
        archive.complete("ada", chat)          from now on `labkit.context.search` finds it

Every question names its user, and somebody else's conversation is as unknown as one that never
was.  Turns are only ever added.  Appending and loading take as long in a file of a million turns
as in an empty one.  A conversation in hand is a `labkit.context.sessions.Session`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from labkit.context.archive_file import ArchiveFile
from labkit.context.archive_rows import (
    Conversation,
    check_text,
    conversation_of,
    conversations_of,
    delete_all_of,
    turns_of,
)
from labkit.context.archive_schema import index_words
from labkit.context.archive_turns import spelled
from labkit.errors import UserError

__all__ = ["Archive", "Conversation"]

FORMAT = "labkit conversations 1"


class Archive:
    """The conversations in one SQLite file, which is made if it is not there.

    `now` tells the time of day in seconds since 1970.  Threads and processes may share the file;
    a process that forks opens it afterwards.  Every method raises `UserError` for a user,
    conversation or turn that makes no sense, and `ArchiveBroken` where the file fails: then
    nothing has changed.
    """

    def __init__(self, path: str | Path, *, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self.file = ArchiveFile(path)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def start(
        self,
        user: str,
        *messages: Mapping[str, Any],
        title: str = "",
        continues: int | None = None,
    ) -> int:
        """Begin a conversation with its first turns, if any, and return its number.

        The one it `continues` is moved to the archive in the same step.
        """
        check_text("user", user, least=1)
        check_text("title", title)
        rows = [spelled(message) for message in messages]
        with self.file.transaction(write=True) as db:
            if continues is not None:
                self._complete(db, user, continues)
            db.execute("INSERT OR IGNORE INTO users (name) VALUES (?)", (user,))
            made = db.execute(
                "INSERT INTO conversations (user, title, started_at, continues) "
                "SELECT id, ?, ?, ? FROM users WHERE name = ? RETURNING id",
                (title, self.now(), continues, user),
            )
            conversation = int(made.fetchone()[0])
            self._append(db, conversation, 0, rows)
            return conversation

    def append(self, user: str, conversation: int, *messages: Mapping[str, Any]) -> int:
        """Add turns, all or none of them, and return how many the conversation has now."""
        rows = [spelled(message) for message in messages]
        with self.file.transaction(write=True) as db:
            found = conversation_of(db, user, conversation)
            if found.archived_at is not None:
                raise UserError(
                    f"Conversation {conversation} is archived and takes no more turns: start a "
                    "fresh one that continues it."
                )
            return self._append(db, conversation, found.turns, rows)

    def load(self, user: str, conversation: int) -> list[dict[str, Any]]:
        """Return a conversation's messages in order, ready to be sent."""
        with self.file.transaction(write=False) as db:
            found = conversation_of(db, user, conversation)
            return [message for _, message in turns_of(db, found)]

    def find(self, user: str, conversation: int) -> Conversation:
        """Return what is known about one conversation."""
        with self.file.transaction(write=False) as db:
            return conversation_of(db, user, conversation)

    def conversations(self, user: str) -> list[Conversation]:
        """Return a user's conversations, oldest first; none for a user never heard of."""
        with self.file.transaction(write=False) as db:
            return conversations_of(db, user)

    def complete(self, user: str, conversation: int) -> None:
        """Move a conversation to the archive: no more turns, and its words can be searched."""
        with self.file.transaction(write=True) as db:
            self._complete(db, user, conversation)

    def export(self, user: str) -> dict[str, Any]:
        """Return everything kept about a user, as JSON has it."""
        with self.file.transaction(write=False) as db:
            told = []
            for found in conversations_of(db, user):
                turns = [{"at": at, "message": message} for at, message in turns_of(db, found)]
                told.append({**asdict(found), "turns": turns})
        return {"format": FORMAT, "user": user, "conversations": told}

    def delete_user(self, user: str) -> int:
        """Delete everything kept about a user, and return how many turns that was.

        Freed space is overwritten, the search index is written anew without the user's words, and
        the write-ahead log is emptied, so no trace stays in the archive's files.  Copies, and what
        a file system or a disk keeps of overwritten blocks, are beyond the archive's reach.
        """
        with self.file.transaction(write=True) as db:
            turns = delete_all_of(db, user)
        self.file.sweep()
        return turns

    def _append(
        self, db: sqlite3.Connection, conversation: int, turns: int, rows: list[str]
    ) -> int:
        now = self.now()
        db.executemany(
            "INSERT INTO turns (conversation, number, at, message) VALUES (?, ?, ?, ?)",
            [(conversation, turns + place, now, row) for place, row in enumerate(rows, 1)],
        )
        turns += len(rows)
        db.execute("UPDATE conversations SET turns = ? WHERE id = ?", (turns, conversation))
        return turns

    def _complete(self, db: sqlite3.Connection, user: str, conversation: int) -> None:
        if conversation_of(db, user, conversation).archived_at is not None:
            return
        done = db.execute(
            "UPDATE conversations SET archived_at = ? WHERE id = ? RETURNING user",
            (self.now(), conversation),
        )
        index_words(db, int(done.fetchone()[0]), conversation)

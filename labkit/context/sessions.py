"""A session: one conversation of one user, in memory and in the archive at once.

    chat = Session.start(archive, "ada", title="Invoices")
    chat.add({"role": "user", "content": "Is it paid?"})        on disk before anything is sent
    client.messages.create(messages=chat.messages, ...)

After a restart `Session.resume` goes on where the last turn ended.  A conversation that is
complete, or too long, is archived, and a fresh one begins with a brief of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.context.archive import Archive
from labkit.errors import UserError

__all__ = ["BRIEF", "Session"]

BRIEF = "Brief of the conversation before this one:\n"
"""What the first turn of a conversation that was started fresh begins with."""


class Session:
    """A conversation in hand; `messages` are to be sent, and changed by `add` alone.

    Made by `start` or `resume`.  Turns are in the archive before they are in `messages`, so what
    a program has sent is never lost.
    """

    def __init__(
        self, archive: Archive, user: str, conversation: int, messages: list[dict[str, Any]]
    ) -> None:
        self.archive = archive
        self.user = user
        self.conversation = conversation
        self.messages = messages

    @classmethod
    def start(cls, archive: Archive, user: str, *, title: str = "") -> Session:
        """Begin an empty conversation."""
        return cls(archive, user, archive.start(user, title=title), [])

    @classmethod
    def resume(cls, archive: Archive, user: str, conversation: int) -> Session:
        """Go on with a conversation; `UserError` if this user has none of this number."""
        return cls(archive, user, conversation, archive.load(user, conversation))

    def add(self, *messages: Mapping[str, Any]) -> None:
        """Add turns, all or none: a tool call and its result are added together.

        Raises `UserError` if somebody else has added to the conversation in the meantime: theirs
        is kept, and so is this; resume to see both in order.
        """
        turns = self.archive.append(self.user, self.conversation, *messages)
        self.messages.extend(dict(message) for message in messages)
        if turns != len(self.messages):
            raise UserError(
                f"Conversation {self.conversation} was added to elsewhere: the turns of both are "
                "kept; resume it to see them in order."
            )

    def complete(self) -> None:
        """Move the conversation to the archive."""
        self.archive.complete(self.user, self.conversation)

    def start_fresh(self, brief: str, *, title: str = "") -> Session:
        """Archive this conversation and return a new one, whose first turn is the brief.

        `brief` is what the new conversation has to know of the old one: a summary, or a line.
        """
        if not isinstance(brief, str) or not brief.strip():
            raise UserError("A fresh start needs a brief: a sentence on what came before.")
        first = {"role": "user", "content": f"{BRIEF}{brief}"}
        title = title or self.archive.find(self.user, self.conversation).title
        fresh = self.archive.start(self.user, first, title=title, continues=self.conversation)
        return Session(self.archive, self.user, fresh, [first])

"""Search over a user's archived conversations: every word must occur, the best match comes first.

SQLite's full text (FTS5) with its ranking.  Case and accents do not matter; a word is found as a
whole, so a language written without spaces between words is found by whole runs of letters only.
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.context.archive import Archive
from labkit.context.archive_rows import check_text
from labkit.errors import UserError

__all__ = ["Hit", "search"]

AROUND = 16
"""Words of an excerpt."""
QUERY = f"""
    SELECT conversation, number, title, snippet(words, 1, '', '', '...', {AROUND})
    FROM words JOIN conversations ON conversations.id = conversation
    WHERE words MATCH ? ORDER BY bm25(words, 0.0, 1.0), conversation, number LIMIT ?"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn that was found: its conversation, its number in it (from 1), and words of it."""

    conversation: int
    turn: int
    title: str
    excerpt: str


def search(archive: Archive, user: str, words: str, *, most: int = 10) -> list[Hit]:
    """Return the turns of a user's archived conversations in which all the words occur.

    Punctuation has no meaning.  Raises `UserError` where there is no word to look for.
    """
    check_text("user", user, least=1)
    wanted = _wanted(words)
    with archive.file.transaction(write=False) as db:
        whose = db.execute("SELECT id FROM users WHERE name = ?", (user,)).fetchone()
        if whose is None:
            return []
        # The owner is a word of the index itself: nobody else's turns are even looked at.
        asked = f'(owner : "u{whose[0]}") AND (text : ({" AND ".join(wanted)}))'
        return [Hit(*row) for row in db.execute(QUERY, (asked, most))]


def _wanted(words: str) -> list[str]:
    """Quote each word, so that nothing in it is a command of the search language."""
    check_text("search words", words)
    letters = "".join(letter if letter.isalnum() else " " for letter in words)
    if not letters.split():
        raise UserError("There is no word to search for.")
    return [f'"{word}"' for word in letters.split()]

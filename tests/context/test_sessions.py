"""A conversation in hand is the one on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.context.archive import Archive
from labkit.context.sessions import BRIEF, Session
from labkit.errors import UserError
from tests.context.chats import assistant, call, result, user
from tests.scenes import ASK, Scene


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An empty archive."""
    with Archive(tmp_path / "chats.db") as made:
        yield made


def test_a_session_goes_on_after_a_restart(archive: Archive) -> None:
    """What was added is what is resumed, of each user their own."""
    chats = {name: Session.start(archive, name, title="Rain") for name in ("ada", "bob")}
    for name, chat in chats.items():
        chat.add(user(f"I am {name}"))
        chat.add(call(), result())
    for name, chat in chats.items():
        again = Session.resume(archive, name, chat.conversation)
        assert again.messages == chat.messages == [user(f"I am {name}"), call(), result()]
    with pytest.raises(UserError, match="has no conversation"):
        Session.resume(archive, "ada", chats["bob"].conversation)


def test_a_fresh_start_archives_the_old_and_begins_with_the_brief(archive: Archive) -> None:
    """The title goes along; the brief is the first turn, from the user."""
    chat = Session.start(archive, "ada", title="Rain")
    chat.add(user("A long story."), assistant("Indeed."))
    fresh = chat.start_fresh("They spoke of rain.")
    assert fresh.messages == [user(f"{BRIEF}They spoke of rain.")]
    old, new = archive.conversations("ada")
    assert old.archived_at is not None
    assert (new.title, new.continues, new.turns) == ("Rain", old.id, 1)
    with pytest.raises(UserError, match="takes no more turns"):
        chat.add(user("more"))
    assert len(chat.messages) == 2


def test_a_brief_says_something(archive: Archive) -> None:
    """Or nothing happens."""
    chat = Session.start(archive, "ada")
    with pytest.raises(UserError, match="needs a brief"):
        chat.start_fresh(" ")
    assert archive.find("ada", chat.conversation).archived_at is None


def test_turns_added_elsewhere_are_kept_and_told(archive: Archive) -> None:
    """Two windows on one conversation: nothing is lost, and the second one learns of it."""
    here = Session.start(archive, "ada")
    there = Session.resume(archive, "ada", here.conversation)
    here.add(user("here"))
    with pytest.raises(UserError, match="was added to elsewhere"):
        there.add(user("there"))
    again = Session.resume(archive, "ada", here.conversation)
    assert again.messages == [user("here"), user("there")]


def test_a_chat_with_the_sdk_is_kept_and_goes_on(archive: Archive) -> None:
    """What comes back from the API is added as it is, and sent again after a restart."""
    client = Scene().client()
    chat = Session.start(archive, "ada")
    chat.add(user("My dog is called Rex."))
    reply = client.messages.create(**{**ASK, "messages": chat.messages})
    chat.add({"role": "assistant", "content": reply.content})
    fresh = Session.resume(archive, "ada", chat.conversation).start_fresh("My dog is Rex.")
    fresh.add(user("What is my dog?"))
    reply = client.messages.create(**{**ASK, "messages": fresh.messages})
    assert "Rex" in str(reply.content)

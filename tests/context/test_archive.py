"""Conversations are kept apart, in order, whole, for as long as their user wishes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from anthropic.types import TextBlock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from labkit.context.archive import Archive
from labkit.context.search import search
from labkit.errors import UserError
from tests.context.chats import assistant, call, result, user


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An empty archive whose clock counts seconds."""
    seconds = count(100)
    with Archive(tmp_path / "chats.db", now=lambda: float(next(seconds))) as made:
        yield made


def test_what_was_appended_is_loaded_in_order(archive: Archive) -> None:
    """Turns come back as they went in, after closing and opening too."""
    turns = [user("Is it raining?"), call(), result(), assistant("It is wet. ☔")]
    chat = archive.start("ada", turns[0], title="Rain")
    assert archive.append("ada", chat, *turns[1:3]) == 3
    assert archive.append("ada", chat, turns[3]) == 4
    archive.close()
    with Archive(archive.file.path) as again:
        assert again.load("ada", chat) == turns
        found = again.find("ada", chat)
        assert (found.title, found.turns, found.archived_at) == ("Rain", 4, None)


def test_the_sdks_own_blocks_are_kept_as_they_would_be_sent(archive: Archive) -> None:
    """`reply.content` may be appended as it is."""
    block = TextBlock(type="text", text="Hello", citations=None)
    chat = archive.start("ada", user("Hi"), {"role": "assistant", "content": [block]})
    (_, kept) = archive.load("ada", chat)
    assert kept["content"] == [block.to_dict(mode="json")]


@pytest.mark.parametrize(
    "ask",
    [
        lambda archive, chat: archive.load("bob", chat),
        lambda archive, chat: archive.append("bob", chat, user("mine")),
        lambda archive, chat: archive.find("bob", chat),
        lambda archive, chat: archive.complete("bob", chat),
        lambda archive, chat: archive.start("bob", continues=chat),
        lambda archive, chat: archive.load("ada", chat + 1),
        lambda archive, _: archive.load("ada", 10**30),
        lambda archive, _: archive.load("ada", "1 OR 1"),
    ],
)
def test_somebody_elses_conversation_is_as_unknown_as_none(archive: Archive, ask: Any) -> None:
    """The sentence is the same, so nobody learns which numbers exist."""
    chat = archive.start("ada", user("secret"))
    archive.start("bob")
    with pytest.raises(UserError, match=r"^User '(ada|bob)' has no conversation"):
        ask(archive, chat)
    assert archive.load("ada", chat) == [user("secret")]
    assert archive.find("ada", chat).archived_at is None


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        ({"role": "robot", "content": "x"}, "role is one of user, assistant, system"),
        ({"role": "user"}, "has text or a list"),
        ({"role": "user", "content": ""}, "has text or a list"),
        ({"role": "user", "content": [float("nan")]}, "cannot be kept as JSON"),
        ({"role": "user", "content": [object()]}, "object is no content of a message"),
        ("hello", "is a message with a role"),
    ],
)
def test_what_is_no_turn_is_refused_and_nothing_of_its_step_kept(
    archive: Archive, turn: Any, said: str
) -> None:
    """All turns of a step are kept or none."""
    chat = archive.start("ada", user("first"))
    with pytest.raises(UserError, match=said):
        archive.append("ada", chat, user("second"), turn)
    assert archive.load("ada", chat) == [user("first")]


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", 7, None])
def test_a_user_is_named_by_text(archive: Archive, name: Any) -> None:
    """An odd name gets a sentence, wherever it is given."""
    for ask in (archive.start, archive.conversations, archive.export, archive.delete_user):
        with pytest.raises(UserError, match="user of a conversation is text"):
            ask(name)


def test_an_archived_conversation_takes_no_more_turns(archive: Archive) -> None:
    """It can be read for ever; completing it again changes nothing."""
    chat = archive.start("ada", user("done"))
    archive.complete("ada", chat)
    found = archive.find("ada", chat)
    archive.complete("ada", chat)
    with pytest.raises(UserError, match="takes no more turns: start a fresh one"):
        archive.append("ada", chat, user("more"))
    assert archive.find("ada", chat) == found
    assert archive.load("ada", chat) == [user("done")]


def test_a_fresh_conversation_completes_the_one_it_continues(archive: Archive) -> None:
    """Both happen in one step, and the new one knows the old one."""
    old = archive.start("ada", user("long story"))
    new = archive.start("ada", user("brief"), title="Part 2", continues=old)
    first, second = archive.conversations("ada")
    assert (first.id, second.id) == (old, new)
    assert first.archived_at is not None
    assert (second.continues, second.archived_at) == (old, None)


def test_an_export_is_all_there_is_about_a_user_and_nothing_else(archive: Archive) -> None:
    """It is JSON, with titles, times and turns."""
    chat = archive.start("ada", user("a"), title="Rain")
    archive.start("bob", user("b"))
    archive.complete("ada", chat)
    told = json.loads(json.dumps(archive.export("ada")))
    (conversation,) = told["conversations"]
    assert told["user"] == "ada"
    assert (conversation["title"], conversation["archived_at"]) == ("Rain", 104.0)
    assert conversation["turns"] == [{"at": 101.0, "message": user("a")}]
    assert "bob" not in json.dumps(told)
    assert archive.export("nobody")["conversations"] == []


@pytest.mark.parametrize("chats", [3, 30])
def test_deleted_data_is_in_no_file_of_the_archive(archive: Archive, chats: int) -> None:
    """Rows, search index and write-ahead log hold no trace; another user's data stays."""
    for number in range(chats):
        chat = archive.start("grace-hopper", user(f"zebrafish {number} " * 40), title="okapi")
        archive.complete("grace-hopper", chat)
        kept = archive.start("bob", user(f"walrus {number}"))
        archive.complete("bob", kept)
    open_chat = archive.start("grace-hopper", user("pangolin"))
    assert archive.delete_user("grace-hopper") == chats + 1
    assert archive.delete_user("grace-hopper") == 0
    folder = archive.file.path.parent
    raw = b"".join(file.read_bytes() for file in folder.iterdir()).lower()
    for word in (b"zebrafish", b"zebraf", b"okapi", b"pangolin", b"grace", b"hopper"):
        assert word not in raw
    assert b"walrus" in raw
    assert len(search(archive, "bob", "walrus", most=100)) == chats
    assert archive.conversations("grace-hopper") == []
    assert archive.start("grace-hopper") > open_chat  # a number never names two conversations


def test_work_does_not_grow_with_the_file(archive: Archive) -> None:
    """SQLite takes as many steps to append and load in a large file as in a small one."""
    chat = archive.start("ada", user("one"), user("two"))

    def steps() -> int:
        taken = count()
        with archive.file.transaction(write=False) as db:
            db.set_progress_handler(lambda: next(taken) < 0, 1)
        archive.append("ada", chat, user("more"))
        fresh = archive.start("ada", user("one"), user("two"))
        archive.load("ada", fresh)
        with archive.file.transaction(write=False) as db:
            db.set_progress_handler(None, 1)
        return next(taken)

    small = steps()
    for number in range(200):
        archive.start(f"user {number}", *[user("x" * 50)] * 100)
    assert steps() == small


class Keeping(RuleBasedStateMachine):
    """The archive beside a dictionary that does the same."""

    folder: Path
    runs = count()
    chats = Bundle("chats")

    def __init__(self) -> None:
        super().__init__()
        self.archive = Archive(self.folder / f"{next(self.runs)}.db")
        self.model: dict[str, dict[int, list[Any]]] = {}
        self.done: set[int] = set()

    def teardown(self) -> None:
        """Close the file."""
        self.archive.close()

    @rule(target=chats, name=st.sampled_from(["ada", "bob"]), text=st.text(min_size=1, max_size=9))
    def start(self, name: str, text: str) -> tuple[str, int]:
        """Begin a conversation."""
        chat = self.archive.start(name, user(text))
        self.model.setdefault(name, {})[chat] = [user(text)]
        return name, chat

    @rule(whose=chats, texts=st.lists(st.text(min_size=1, max_size=9), max_size=3))
    def append(self, whose: tuple[str, int], texts: list[str]) -> None:
        """Add turns, unless the conversation is gone or archived."""
        name, chat = whose
        kept = self.model.get(name, {}).get(chat)
        if kept is None or chat in self.done:
            with pytest.raises(UserError):
                self.archive.append(name, chat, user("no"))
            return
        self.archive.append(name, chat, *map(user, texts))
        kept.extend(map(user, texts))

    @rule(whose=consumes(chats))
    def complete(self, whose: tuple[str, int]) -> None:
        """Archive."""
        if whose[1] in self.model.get(whose[0], {}):
            self.archive.complete(*whose)
            self.done.add(whose[1])

    @rule(name=st.sampled_from(["ada", "bob"]))
    def delete(self, name: str) -> None:
        """Forget a user."""
        gone = self.model.pop(name, {})
        assert self.archive.delete_user(name) == sum(map(len, gone.values()))

    @rule()
    def reopen(self) -> None:
        """Close and open."""
        self.archive.close()
        self.archive = Archive(self.archive.file.path)

    @invariant()
    def same(self) -> None:
        """Everybody's conversations are as the dictionary has them."""
        for name in ("ada", "bob"):
            kept = self.model.get(name, {})
            assert [chat.id for chat in self.archive.conversations(name)] == list(kept)
            assert all(self.archive.load(name, chat) == turns for chat, turns in kept.items())


def test_any_story_is_kept_as_a_dictionary_would(tmp_path: Path) -> None:
    """Random stories of starting, adding, archiving, deleting and reopening."""
    Keeping.folder = tmp_path
    brief = settings(max_examples=15, stateful_step_count=15, deadline=None)
    run_state_machine_as_test(Keeping, settings=brief)

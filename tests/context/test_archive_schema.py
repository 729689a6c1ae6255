"""An older file becomes a new one, once, whole, whoever comes first."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from labkit.context.archive import Archive
from labkit.context.archive_schema import APPLICATION, VERSION
from labkit.context.search import search
from labkit.errors import UserError
from tests.context.chats import VERSION_1, old_file, together, user

OPENER = """
import sys
from labkit.context.archive import Archive
from labkit.context.search import search
print("ready", flush=True)
sys.stdin.readline()
archive = Archive(sys.argv[1])
archive.append("ada", 2, {"role": "user", "content": sys.argv[2]})
print(len(search(archive, "ada", "turn1", most=1000)))
"""


def test_a_file_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    """Its turns are all there, its archived conversations are found, its open ones go on."""
    path = tmp_path / "old.db"
    old_file(path)
    with Archive(path) as archive:
        assert [chat.title for chat in archive.conversations("ada")] == [
            "chat 1",
            "chat 2",
            "chat 3",
        ]
        assert archive.load("ada", 3) == [user(f"word3 of turn{n}") for n in (1, 2, 3, 4)]
        assert {hit.conversation for hit in search(archive, "ada", "turn2")} == {1, 3}
        assert archive.append("ada", 2, user("more")) == 5
        assert archive.start("ada", continues=2) == 4
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_two_processes_that_migrate_at_once_both_go_on(tmp_path: Path) -> None:
    """One does it, the other finds it done, and nothing is lost or there twice."""
    path = tmp_path / "old.db"
    old_file(path, conversations=400, turns=10)
    assert together(OPENER, (path, "a"), (path, "b")) == ["200\n", "200\n"]
    with Archive(path) as archive:
        said = [turn["content"] for turn in archive.load("ada", 2)]
        assert sorted(said[-2:]) == ["a", "b"]
        assert len(said) == 12
        assert len(archive.conversations("ada")) == 400


def test_a_migration_that_fails_leaves_the_old_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All steps are one transaction."""
    path = tmp_path / "old.db"
    old_file(path)

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("labkit.context.archive_schema.index_words", dies)
        with pytest.raises(KeyboardInterrupt):
            Archive(path)
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)
    db.close()
    with Archive(path) as archive:
        assert len(archive.load("ada", 1)) == 4


def test_a_version_from_the_future_is_left_as_it_is(tmp_path: Path) -> None:
    """The sentence says what to do."""
    path = tmp_path / "new.db"
    old_file(path)
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"version 9 .* knows 2: a newer one made it"):
        Archive(path)
    assert path.read_bytes() == before


def test_the_old_file_of_these_tests_bears_the_archives_mark() -> None:
    """Or the tests would migrate somebody else's file."""
    assert f"application_id = {APPLICATION};" in VERSION_1


def test_a_turn_cannot_be_changed_by_any_statement(tmp_path: Path) -> None:
    """The file itself refuses, not only the class in front of it."""
    with Archive(tmp_path / "chats.db") as archive:
        archive.start("ada", user("said"))
    db = sqlite3.connect(tmp_path / "chats.db")
    with pytest.raises(sqlite3.IntegrityError, match="a turn never changes"):
        db.execute("UPDATE turns SET message = 'unsaid'")
    db.close()

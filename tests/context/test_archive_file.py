"""Whatever happens to the file or the process, what was saved stays, and one sentence is said."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import stat
import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.context.archive import Archive
from labkit.context.search import search
from labkit.errors import ArchiveBroken, LabkitError, UserError
from tests.context.chats import process, together, user

POSIX = pytest.mark.skipif(os.name != "posix", reason="rights and signals of POSIX systems")
TALKER = """
import sys
from labkit.context.archive import Archive
archive = Archive(sys.argv[1])
chat = int(sys.argv[2])
print("ready", flush=True)
while True:
    said = archive.find("ada", chat).turns
    pair = [{"role": "user", "content": f"{said} " + "x" * 5000},
            {"role": "assistant", "content": f"{said + 1}"}]
    print(archive.append("ada", chat, *pair), flush=True)
"""
WRITER = """
import sys
from labkit.context.archive import Archive
path, name, chat, turns = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
archive = Archive(path)
for number in range(int(turns)):
    archive.append("ada", int(chat), {"role": "user", "content": f"{name} {number}"})
"""
OPENER = """
import sys
print("ready", flush=True)
from labkit.context.archive import Archive
sys.stdin.readline()
archive = Archive(sys.argv[1])
print(archive.start("ada", {"role": "user", "content": sys.argv[2]}))
"""
FILLER = """
import resource, sys
from labkit.context.archive import Archive
from labkit.errors import ArchiveBroken
archive = Archive(sys.argv[1])
chat = archive.start("ada")
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
print("ready", flush=True)
sys.stdin.readline()
done = 0
try:
    while done < 1000:
        done = archive.append("ada", chat, {"role": "user", "content": "x" * 3000})
except ArchiveBroken as error:
    print(done, len(archive.load("ada", chat)), error)
"""


@POSIX
def test_a_killed_process_loses_at_most_the_step_in_flight(tmp_path: Path) -> None:
    """Ten times kill -9 at a random moment: every confirmed turn is there, pairs are whole."""
    path, dice = tmp_path / "chats.db", random.Random(5)
    with Archive(path) as archive:
        chat = archive.start("ada")
    turns = 0
    for _ in range(10):
        with process(TALKER, path, chat) as talking:
            assert talking.stdout is not None
            lines = [talking.stdout.readline() for _ in range(dice.randint(1, 12))]
            threading.Event().wait(dice.random() * 0.004)
            talking.send_signal(signal.SIGKILL)
            lines += talking.stdout.readlines()
        confirmed = [int(line) for line in lines if line.strip().isdigit() and line[-1] == "\n"]
        with Archive(path) as archive:
            kept = [str(turn["content"]).split()[0] for turn in archive.load("ada", chat)]
        expected = max(confirmed, default=turns)
        assert len(kept) in (expected, expected + 2)
        assert kept == [str(number) for number in range(len(kept))]
        turns = len(kept)
    assert turns > 20
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_writers_in_several_processes_lose_nothing(tmp_path: Path) -> None:
    """Three processes add to one conversation; all is there, each one's turns in its order."""
    path = tmp_path / "chats.db"
    with Archive(path) as archive:
        chat = archive.start("ada")
        together(WRITER, *[(path, name, chat, 40) for name in "abc"])
        said = [turn["content"] for turn in archive.load("ada", chat)]
    assert len(said) == 120
    for name in "abc":
        assert [each for each in said if each[0] == name] == [f"{name} {n}" for n in range(40)]


def test_processes_that_make_the_file_at_once_share_it(tmp_path: Path) -> None:
    """One makes the tables, the others find them."""
    path = tmp_path / "chats.db"
    numbers = together(OPENER, *[(path, name) for name in "abcd"])
    with Archive(path) as archive:
        assert sorted(chat.id for chat in archive.conversations("ada")) == sorted(map(int, numbers))


def test_threads_may_share_an_archive(tmp_path: Path) -> None:
    """Each step of each thread is whole."""
    with Archive(tmp_path / "chats.db") as archive:
        chat = archive.start("ada")

        def talk() -> None:
            for number in range(20):
                archive.append("ada", chat, user(str(number)), user(str(number)))

        threads = [threading.Thread(target=talk) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        said = [turn["content"] for turn in archive.load("ada", chat)]
    assert len(said) == 160
    assert said[::2] == said[1::2]


@POSIX
def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    """Whatever the process gives away by default."""
    before = os.umask(0)
    try:
        with Archive(tmp_path / "chats.db") as archive:
            archive.start("ada", user("secret"))
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert "chats.db-wal" in modes


def test_a_full_database_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    """The turn that does not fit is not saved; once there is room, it is."""
    with Archive(tmp_path / "chats.db") as archive:
        chat = archive.start("ada", user("first"))
        with archive.file.transaction(write=False) as db:
            (pages,) = db.execute("PRAGMA page_count").fetchone()
            db.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(ArchiveBroken, match=r"could not be written .*full.*: make room\."):
            archive.append("ada", chat, user("x" * 50_000))
        assert archive.load("ada", chat) == [user("first")]
        with archive.file.transaction(write=False) as db:
            db.execute("PRAGMA max_page_count = 100000")
        assert archive.append("ada", chat, user("x" * 50_000)) == 2


@POSIX
def test_a_full_disk_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    """The same where it is the system that gives no more room."""
    path = tmp_path / "chats.db"
    (said,) = together(FILLER, (path,))
    done, kept, sentence = said.split(" ", 2)
    assert 0 < int(done) == int(kept)
    assert "could not be written" in sentence
    with Archive(path) as archive:
        (chat,) = archive.conversations("ada")
        assert len(archive.load("ada", chat.id)) == int(done)


def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    """It may be somebody's letter."""
    path = tmp_path / "letter.txt"
    path.write_text("Dear Ada, " * 500)
    with pytest.raises(ArchiveBroken, match="is damaged or is no database"):
        Archive(path)
    assert path.read_text() == "Dear Ada, " * 500


def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    """The mark of the application tells."""
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE users (id)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match="is a database of another program"):
        Archive(path)
    assert path.read_bytes() == before


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_never_shows_sqlites_own_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes changed anywhere, or cut off: everything works or says a sentence."""
    path = tmp_path_factory.mktemp("damaged") / "chats.db"
    with Archive(path) as archive:
        for number in range(5):
            chat = archive.start("ada", user(f"rain {number}"), user("sun"))
            archive.complete("ada", chat)
        chat = archive.start("ada", user("open"))
    raw = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=40)):
        raw[place : place + 8] = data.draw(st.binary(min_size=8, max_size=8))
    path.write_bytes(raw[: data.draw(st.integers(1, len(raw)))])
    for ask in (
        lambda archive: archive.load("ada", chat),
        lambda archive: archive.append("ada", chat, user("more")),
        lambda archive: archive.complete("ada", chat),
        lambda archive: archive.export("ada"),
        lambda archive: search(archive, "ada", "rain"),
        lambda archive: archive.delete_user("ada"),
    ):
        with suppress(LabkitError), Archive(path) as archive:
            ask(archive)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """So is a path that is a folder."""
    with pytest.raises(UserError, match=r"cannot be made: No such file or directory\."):
        Archive(tmp_path / "nowhere" / "chats.db")
    with pytest.raises(LabkitError, match=r"archive .* cannot be"):
        Archive(tmp_path)


def test_a_closed_archive_says_so(tmp_path: Path) -> None:
    """Closing twice is no mistake, asking it afterwards is."""
    archive = Archive(tmp_path / "chats.db")
    archive.close()
    archive.close()
    with pytest.raises(UserError, match="has been closed: open it again"):
        archive.conversations("ada")


@POSIX
def test_a_forked_process_opens_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's connections do not survive a fork."""
    with Archive(tmp_path / "chats.db") as archive:
        with monkeypatch.context() as patched:
            patched.setattr(os, "getpid", lambda: -1)
            with pytest.raises(UserError, match="was opened before a fork: open it after"):
                archive.conversations("ada")
        assert archive.conversations("ada") == []


def test_traces_that_somebody_still_reads_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data is deleted for everybody, but the write-ahead log cannot be emptied yet."""
    monkeypatch.setattr("labkit.context.archive_file.PATIENCE_S", 0.05)
    with Archive(tmp_path / "chats.db") as archive, Archive(archive.file.path) as other:
        archive.start("ada", user("secret"))
        with other.file.transaction(write=False) as reading:
            reading.execute("SELECT * FROM turns").fetchall()
            with pytest.raises(ArchiveBroken, match="still holds traces"):
                archive.delete_user("ada")
        assert archive.conversations("ada") == []
        archive.delete_user("ada")
        assert b"secret" not in b"".join(each.read_bytes() for each in tmp_path.iterdir())

"""A database is its owner's alone, and a transaction is whole or has not happened."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from labkit.database import code_of, mark_of, open_owned, transaction

POSIX = pytest.mark.skipif(os.name != "posix", reason="rights as POSIX has them")

COUNTING = """
import sys
from pathlib import Path
from labkit.database import open_owned, transaction
db = open_owned(Path(sys.argv[1]), patience_s=60)
for _ in range(40):
    with transaction(db):
        (count,) = db.execute("SELECT count FROM counter").fetchone()
        db.execute("UPDATE counter SET count = ?", (count + 1,))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a database that does not exist yet."""
    return tmp_path / "some.db"


@pytest.fixture
def db(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database with an empty table."""
    with closing(open_owned(path, patience_s=0)) as opened:
        opened.execute("CREATE TABLE kept (name TEXT PRIMARY KEY)")
        yield opened


def keep(db: sqlite3.Connection, name: str) -> None:
    """Write a name down."""
    db.execute("INSERT INTO kept VALUES (?)", (name,))


def do(db: sqlite3.Connection, *statements: str) -> None:
    """Do all of them in one transaction."""
    with transaction(db):
        for statement in statements:
            db.execute(statement)


def in_a_thread(work: Callable[[], object]) -> BaseException | None:
    """Do something in another thread; return what it raised."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).exception()


def kept(db: sqlite3.Connection) -> list[str]:
    """Read what has been written down."""
    return [name for (name,) in db.execute("SELECT name FROM kept ORDER BY name")]


@POSIX
def test_a_new_file_is_its_owners_alone(tmp_path: Path, path: Path) -> None:
    """Whatever the process gives away by default; so is the log beside it."""
    before = os.umask(0)
    try:
        with closing(open_owned(path, patience_s=0, settings=["journal_mode = WAL"])) as db:
            db.execute("CREATE TABLE kept (name)")
            modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert set(modes.values()) == {0o600}
    assert "some.db-wal" in modes


@POSIX
def test_a_file_that_is_there_keeps_its_rights(path: Path) -> None:
    """Who shares a file on purpose goes on sharing it."""
    path.touch()
    path.chmod(0o640)
    open_owned(path, patience_s=0).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_settings_hold_from_the_start(path: Path) -> None:
    """They are pragmas, set in their order."""
    settings = ["synchronous = OFF", "synchronous = FULL"]
    with closing(open_owned(path, patience_s=0, settings=settings)) as db:
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)


def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    """A folder that is missing is the system's error, a letter or a folder is SQLite's."""
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear Ada, " * 500)
    with pytest.raises(FileNotFoundError):
        open_owned(tmp_path / "nowhere" / "some.db", patience_s=0)
    for place, code in [(letter, sqlite3.SQLITE_NOTADB), (tmp_path, sqlite3.SQLITE_CANTOPEN)]:
        with pytest.raises(sqlite3.Error) as caught:
            open_owned(place, patience_s=0, settings=["synchronous = FULL"])
        assert code_of(caught.value) == code
    assert letter.read_text() == "Dear Ada, " * 500
    assert code_of(ValueError("not SQLite's")) == 0


def test_a_connection_may_be_kept_to_its_thread(path: Path) -> None:
    """Others may use it only where that was allowed."""
    with closing(open_owned(path, patience_s=0, threads=False)) as db:
        from_elsewhere = in_a_thread(lambda: db.execute("SELECT 1"))
        assert isinstance(from_elsewhere, sqlite3.ProgrammingError)
    with closing(open_owned(path, patience_s=0)) as db:
        assert in_a_thread(lambda: db.execute("SELECT 1")) is None


def test_a_block_that_ends_well_is_there_for_others(db: sqlite3.Connection, path: Path) -> None:
    """It is committed, reading or writing, when the block ends."""
    with transaction(db):
        keep(db, "first")
    with transaction(db, write=False) as same:
        keep(same, "second")
    assert not db.in_transaction
    with closing(open_owned(path, patience_s=0)) as other:
        assert kept(other) == ["first", "second"]


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_a_block_that_fails_or_is_interrupted_has_not_happened(
    db: sqlite3.Connection, error: type[BaseException], write: bool
) -> None:
    """The error goes on as it was, and the connection can be used again."""

    def failing() -> None:
        with transaction(db, write=write):
            keep(db, "lost")
            raise error

    with pytest.raises(error):
        failing()
    with transaction(db):
        keep(db, "kept")
    assert kept(db) == ["kept"]


def test_a_commit_that_fails_takes_the_block_back(db: sqlite3.Connection) -> None:
    """Here a reference that leads nowhere is found out at the end."""
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("CREATE TABLE uses (name REFERENCES kept DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(sqlite3.IntegrityError):
        do(db, "INSERT INTO kept VALUES ('lost')", "INSERT INTO uses VALUES ('missing')")
    assert not db.in_transaction
    assert kept(db) == []


def test_a_transaction_that_sqlite_itself_took_back_tells_the_first_error(
    db: sqlite3.Connection,
) -> None:
    """There is nothing left to roll back, and no second error hides the first."""
    again = "INSERT OR ROLLBACK INTO kept VALUES ('twice')"
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE") as caught:
        do(db, "INSERT INTO kept VALUES ('twice')", again)
    assert code_of(caught.value) == sqlite3.SQLITE_CONSTRAINT
    assert kept(db) == []


def test_a_transaction_inside_of_another_is_refused_and_harms_neither(
    db: sqlite3.Connection,
) -> None:
    """The outer one goes on as a whole."""
    with transaction(db):
        keep(db, "first")
        with pytest.raises(sqlite3.OperationalError, match="within a transaction"), transaction(db):
            keep(db, "never")
        assert db.in_transaction
        keep(db, "second")
    assert kept(db) == ["first", "second"]


def test_one_who_does_not_wait_is_told_that_others_are_busy(
    db: sqlite3.Connection, path: Path
) -> None:
    """One reads what was there before, or writes when they are done."""
    with closing(open_owned(path, patience_s=0)) as other:
        with transaction(db):
            with pytest.raises(sqlite3.OperationalError) as caught, transaction(other):
                keep(other, "never")
            keep(db, "first")
            with transaction(other, write=False):
                assert kept(other) == []
        with transaction(other):
            keep(other, "second")
    assert code_of(caught.value) == sqlite3.SQLITE_BUSY
    assert kept(db) == ["first", "second"]


def test_processes_wait_for_each_other_and_lose_nothing(path: Path) -> None:
    """Two of them read a number and write the next one, forty times each."""
    with closing(open_owned(path, patience_s=0)) as db:
        db.execute("CREATE TABLE counter AS SELECT 0 AS count")
        command = [sys.executable, "-c", COUNTING, str(path)]
        processes = [subprocess.Popen(command) for _ in range(2)]
        assert [process.wait() for process in processes] == [0, 0]
        assert db.execute("SELECT count FROM counter").fetchone() == (80,)


def test_a_mark_says_whose_a_database_is(path: Path) -> None:
    """An empty one is nobody's yet; one with tables and no mark is somebody's."""
    with closing(open_owned(path, patience_s=0)) as db:
        assert mark_of(db) is None
        db.execute("PRAGMA application_id = 77")
        assert mark_of(db) == 77
        db.execute("PRAGMA application_id = 0")
        db.execute("CREATE TABLE theirs (x)")
        assert mark_of(db) == 0

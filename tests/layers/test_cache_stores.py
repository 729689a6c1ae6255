"""The three stores of a response cache keep the same promises, in one process."""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from labkit.layers.cache_store import MemoryStore, Store
from labkit.layers.redis_store import RedisStore
from labkit.layers.response_cache import ResponseCache
from labkit.layers.sqlite_store import SqliteStore
from tests.layers.redis_server import RedisServer, serving
from tests.wire import answer
from tests.world import Script, World

Make = Callable[..., Store]
KINDS = ("memory", "sqlite", "redis")
LATER = 1e6


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests of this file."""
    with serving(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Make stores of one kind, which share what they hold unless it is memory."""
    made: list[SqliteStore | RedisStore] = []

    def build(most: int = 100) -> Store:
        if request.param == "memory":
            return MemoryStore(most)
        if request.param == "sqlite":
            store: SqliteStore | RedisStore = SqliteStore(
                tmp_path / "c.db", most, today=lambda: 0.0
            )
        else:
            url = request.getfixturevalue("redis").url
            store = RedisStore(url, most, prefix=tmp_path.name, today=lambda: 0.0)
        made.append(store)
        return store

    yield build
    for store in made:
        store.close()


def test_what_was_put_can_be_had_and_a_later_one_replaces_it(make: Make) -> None:
    """Any text, whatever its letters."""
    store, text = make(), 'Größe "x"\n\u2028\U0001f600'
    assert store.get("a") is None
    store.put("a", "t", text, 0, LATER)
    store.put("b", "t", "other", 0, LATER)
    assert (store.get("a"), len(store)) == (text, 2)
    store.put("a", "t", "new", 0, LATER)
    assert (store.get("a"), len(store)) == ("new", 2)
    assert store.trouble == ""


def test_there_are_never_more_than_the_most(make: Make) -> None:
    """What was stored first goes first, and the newest is always there."""
    store = make(5)
    for number in range(20):
        store.put(f"n{number}", "t", "x", number, LATER)
        assert len(store) <= 5
        assert store.get(f"n{number}") == "x"
    assert [number for number in range(20) if store.get(f"n{number}")] == [15, 16, 17, 18, 19]


def test_a_tenant_is_forgotten_and_nobody_else(make: Make) -> None:
    """And it is said how many entries that were."""
    store = make()
    for number in range(6):
        store.put(f"n{number}", "ab"[number % 2], "x", 0, LATER)
    assert (store.forget("a"), store.forget("a"), store.forget("nobody")) == (3, 0, 0)
    assert [number for number in range(6) if store.get(f"n{number}")] == [1, 3, 5]
    assert len(store) == 3


def test_many_threads_may_use_it_at_once(make: Make) -> None:
    """No entry is torn, no thread fails, the bound holds."""
    store = make(20)

    def work(number: int) -> None:
        for step in range(30):
            name = f"n{(number * 7 + step) % 40}"
            store.put(name, "t", name * 50, 0, LATER)
            assert store.get(name) in (None, name * 50)
            if step == 20:
                store.forget("nobody")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert len(store) <= 20
    assert store.trouble == ""


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_only_one_process_may_claim_what_is_missing(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Until it is there, is given up, or the claim is too old; one's own claim is no obstacle."""

    def build() -> SqliteStore | RedisStore:
        if kind == "sqlite":
            return SqliteStore(tmp_path / "c.db")
        return RedisStore(request.getfixturevalue("redis").url, prefix=tmp_path.name)

    one, other = build(), build()
    assert (one.claim("a", 0, 60), other.claim("a", 0, 60), one.claim("a", 0, 60)) == (
        *(True, False, True),
    )
    other.release("a")
    assert not other.claim("a", 0, 60)
    one.release("a")
    assert other.claim("a", 0, 60)
    other.put("a", "t", "x", 0, LATER)
    assert one.claim("a", 0, 0.001)
    threading.Event().wait(0.02)
    assert other.claim("a", 0.02, 60)
    one.close()
    other.close()


@pytest.mark.parametrize("make_none", [MemoryStore, lambda most: SqliteStore("x.db", most)])
def test_a_store_holds_something(make_none: Callable[[int], Store]) -> None:
    """None at all is a mistake."""
    with pytest.raises(ValueError, match="at least one"):
        make_none(0)
    with pytest.raises(ValueError, match="at least one"):
        RedisStore("redis://127.0.0.1:1/0", 0)


# -- SQLite ---------------------------------------------------------------------------------------


def test_the_file_is_its_owners_alone_and_outlives_the_store(tmp_path: Path) -> None:
    """So are the files beside it while it is open; entries that are too old go with the next."""
    path = tmp_path / "c.db"
    store = SqliteStore(path)
    store.put("a", "t", "x", 0, 50)
    store.put("b", "t", "y", 0, LATER)
    assert {found.stat().st_mode & 0o777 for found in tmp_path.iterdir()} == {0o600}
    store.close()
    again = SqliteStore(path)
    assert again.get("a") == "x"
    again.put("c", "t", "z", 60, LATER)
    assert [again.get(name) for name in "abc"] == [None, "y", "z"]
    again.close()


def test_what_is_deleted_leaves_no_trace(tmp_path: Path) -> None:
    """Neither in the file nor beside it."""
    store = SqliteStore(tmp_path / "c.db")
    store.put("a", "t", "a secret answer", 0, LATER)
    assert store.forget("t") == 1
    assert not any(b"secret" in found.read_bytes() for found in tmp_path.iterdir())
    store.close()


def ask_twice(store: Store, caplog: pytest.LogCaptureFixture) -> list[str]:
    """Use a store in trouble; return what was logged."""
    server = Script(answer("One"))

    async def twice(api: object) -> None:
        for _ in range(2):
            found = await api.create()  # type: ignore[attr-defined]
            assert found.content[0].text == "One"

    with caplog.at_level(logging.WARNING, logger="labkit"):
        World("sync").run(twice, server, [ResponseCache(store)])
        World("async").run(twice, server, [ResponseCache(store)])
    assert len(server.requests) == 4
    assert (len(store), store.forget("t")) == (0, 0)
    return [record.getMessage() for record in caplog.records]


def ruined(path: Path, how: str) -> None:
    """Leave something at the path that is no usable cache."""
    if how == "nonsense":
        path.write_bytes(b"This is no database at all. " * 400)
    elif how == "somebody else's":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE theirs (x)")
        db.close()
    elif how == "a folder":
        path.mkdir()
    else:
        store = SqliteStore(path)
        for number in range(200):
            store.put(f"n{number}", "t", "x" * 500, 0, LATER)
        store.close()
        whole = bytearray(path.read_bytes())
        whole[4096:-4096] = os.urandom(len(whole) - 8192)
        path.write_bytes(whole)


@pytest.mark.parametrize("how", ["nonsense", "somebody else's", "a folder", "torn in the middle"])
def test_a_file_that_cannot_be_used_costs_the_caller_nothing(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One clear sentence; the cache works as if empty, and the file is left as it is."""
    path = tmp_path / "c.db"
    ruined(path, how)
    before = None if path.is_dir() else path.read_bytes()
    store = SqliteStore(path)
    (said,) = set(ask_twice(store, caplog))
    assert said == store.trouble
    assert said.startswith(f"The response cache {path} cannot be used (")
    assert "as if empty" in said
    if how in ("nonsense", "somebody else's"):
        assert len(caplog.records) == 1
        assert path.read_bytes() == before
        assert said.endswith("delete it, or name another.")
    store.close()


def test_an_entry_that_makes_no_sense_is_a_miss(tmp_path: Path) -> None:
    """Another version, or somebody's mistake."""
    path, server = tmp_path / "c.db", Script(answer("One"))
    store = SqliteStore(path)
    texts = [
        "",
        "{",
        "[]",
        '{"status": 200}',
        '{"status":200,"body":[],"stored_at":0,"fresh_until":9e9,"kept_until":9e9}',
    ]
    for text in texts:
        World("sync").run(lambda api: api.create(), server, [ResponseCache(store)])
        with sqlite3.connect(path) as db:
            db.execute("UPDATE entries SET text = ?", (text,))
        db.close()
    World("sync").run(lambda api: api.create(), server, [ResponseCache(store)])
    assert len(server.requests) == len(texts) + 1
    store.close()


def test_a_file_that_others_keep_busy_is_done_without(tmp_path: Path) -> None:
    """It can be read meanwhile; when they are done it is used again."""
    store = SqliteStore(tmp_path / "c.db")
    store.put("a", "t", "x", 0, LATER)
    other = sqlite3.connect(tmp_path / "c.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    store.put("b", "t", "y", 0, LATER)
    assert "locked" in store.trouble
    assert (store.get("a"), store.get("b")) == ("x", None)
    other.execute("ROLLBACK")
    store.put("b", "t", "y", 0, LATER)
    assert (store.get("b"), store.trouble) == ("y", "")
    other.close()
    store.close()


# -- Redis ----------------------------------------------------------------------------------------


def test_a_server_that_is_away_costs_next_to_nothing_until_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, no exception, and after a rest it is asked again."""
    with serving(tmp_path) as server:
        store = RedisStore(server.url)
        store.put("a", "t", "x", 0, LATER)
        assert store.get("a") == "x"
        server.stop()
        assert len(set(ask_twice(store, caplog))) == 1
        assert "as if empty" in store.trouble
        server.start()
        assert store.get("a") is None
        store.put("a", "t", "x", 0, LATER)
        assert len(store) == 0
        monkeypatch.setattr(store, "_asked_again", 0.0)
        store.put("a", "t", "x", 0, LATER)
        assert (store.get("a"), store.trouble) == ("x", "")
        store.close()


def test_entries_expire_on_the_server_itself(redis: RedisServer) -> None:
    """Nobody has to come back for that."""
    store = RedisStore(redis.url, prefix="expiring")
    store.put("a", "t", "x", 0, 0.05)
    threading.Event().wait(0.2)
    assert store.get("a") is None
    store.close()


# -- JSON only ------------------------------------------------------------------------------------


def test_nothing_is_ever_unpickled() -> None:
    """Whoever can write to the store must not be able to run code here."""
    package = Path(__file__).parents[2] / "labkit"
    suspects = ("pickle", "marshal", "shelve", "dill")
    for path in package.rglob("*.py"):
        text = path.read_text("utf-8")
        assert not [word for word in suspects if word in text], path

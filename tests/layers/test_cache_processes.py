"""Several processes share one response cache, in SQLite and in a real Redis, and may be killed."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from labkit.layers.redis_store import RedisStore
from labkit.layers.sqlite_store import SqliteStore
from tests.layers.redis_server import RedisServer, serving
from tests.loopback import Loopback

ROOT = Path(__file__).parents[2]
PROCESSES = 3


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests of this file."""
    with serving(tmp_path_factory.mktemp("redis")) as server:
        yield server


def started(*arguments: str) -> subprocess.Popen[str]:
    """Start a process of tests/layers/cache_worker.py."""
    command = [sys.executable, "-m", "tests.layers.cache_worker", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    """Read the next line of a process."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_processes_that_ask_the_same_at_once_send_one_request_for_each_tenant(
    tmp_path: Path, redis: RedisServer
) -> None:
    """Twenty calls in two processes: two users, so two requests for each store, and no more."""
    start, places = tmp_path / "start", [str(tmp_path / "c.db"), redis.url]
    with Loopback() as server:
        processes = [started("ask", server.url, str(start), *places) for _ in range(2)]
        try:
            assert [line(process) for process in processes] == ["ready"] * 2
            start.touch()
            for _ in places:
                ours, theirs = (line(process).split() for process in processes)
                assert len(ours) == len(theirs) == 10
                assert len(set(ours[::2] + theirs[::2])) == 1
                assert len(set(ours[1::2] + theirs[1::2])) == 1
                assert ours[0] != ours[1]
            asked = [heard.body["metadata"]["user_id"] for heard in server.requests]
            assert sorted(asked) == ["user 0", "user 0", "user 1", "user 1"]
            assert [process.wait(20) for process in processes] == [0, 0]
        finally:
            for process in processes:
                process.kill()
                process.communicate()


@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_processes_may_be_killed_at_any_moment(
    kind: str, tmp_path: Path, redis: RedisServer
) -> None:
    """The others go on, nothing is torn, the bound holds, and the next one finds all well."""
    dice, place = random.Random(1), redis.url if kind == "redis" else str(tmp_path / "c.db")
    processes = [started("hammer", place) for _ in range(2 * PROCESSES)]
    try:
        assert [line(process) for process in processes] == ["ready"] * len(processes)
        for victim in processes[PROCESSES:]:
            time.sleep(dice.uniform(0.02, 0.2))
            victim.send_signal(signal.SIGKILL)
            assert victim.communicate()[0] == ""
        store = RedisStore(place, 50) if kind == "redis" else SqliteStore(place, 50)
        assert 0 < len(store) <= 50 + PROCESSES
        assert store.trouble == ""
    finally:
        for process in processes:
            process.kill()
            assert process.stdout is None or process.stdout.closed or process.communicate()[0] == ""
    held = {f"n{number}": store.get(f"n{number}") for number in range(80)}
    assert all(text in (None, name * 200) for name, text in held.items())
    assert any(held.values())
    store.put("mine", "me", "x", time.time(), 4e9)
    assert (store.get("mine"), store.trouble) == ("x", "")
    store.close()
    if kind == "sqlite":
        with sqlite3.connect(place) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()

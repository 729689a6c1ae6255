"""A process of its own that uses a response cache's store: run by test_cache_processes."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from labkit.layers.redis_store import RedisStore
from labkit.layers.sqlite_store import SqliteStore

LATER = 4e9


def opened(place: str) -> SqliteStore | RedisStore:
    """Open the store at a path or a URL."""
    return RedisStore(place, 50) if place.startswith("redis:") else SqliteStore(place, 50)


def hammer(place: str) -> None:
    """Write and read until somebody kills this process; stop at what no store may do."""
    store = opened(place)
    print("ready", flush=True)
    for step in range(1_000_000):
        name = f"n{(os.getpid() + step) % 80}"
        store.put(name, f"t{step % 3}", name * 200, time.time(), LATER)
        found = store.get(name)
        if found not in (None, name * 200):
            print(f"torn: {found!r}", flush=True)
            return
        time.sleep(0.001)
        if step % 50 == 0:
            store.forget("t0")


def ask(url: str, start: str, places: list[str]) -> None:
    """Ask the same question with ten threads for each store, and print the answers."""
    from concurrent.futures import ThreadPoolExecutor

    import anthropic

    from labkit.layers.response_cache import ResponseCache
    from tests.wire import CALL

    caches = [ResponseCache(opened(place)) for place in places]
    print("ready", flush=True)
    while not Path(start).exists():
        time.sleep(0.01)
    for cache in caches:
        client = anthropic.Anthropic(base_url=url, api_key="k", max_retries=0, middleware=[cache])

        def words(number: int, client: anthropic.Anthropic = client) -> str:
            user = {"user_id": f"user {number % 2}"}
            asked: dict[str, Any] = {**CALL, "max_tokens": 1000, "metadata": user}
            name: str = client.messages.create(**asked).id
            return name

        with ThreadPoolExecutor(10) as pool:
            print(*pool.map(words, range(10)), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "hammer":
        hammer(sys.argv[2])
    else:
        ask(sys.argv[2], sys.argv[3], sys.argv[4:])

"""A hit of the response cache, and a stampede, beside LangChain's SQLite cache and cachetools.

    uv run python benchmarks/cache.py [--rounds 15] [--calls 20]

A hit is a whole call of a client, answered from the cache: the Claude SDK's with `ResponseCache`
inside, LangChain's fake chat model with its SQLite cache.  cachetools caches a function, so it is
compared with the flow alone.  They take turns; times are medians on the clock.  In the stampede
twenty threads ask the same at once; "asked" is how often the model was, and "failed" how many of
the threads got an exception.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import anthropic
import cachetools
import httpx2

from labkit.flow import Now, Outcome, Request, Send
from labkit.layers.cache_store import MemoryStore, Store
from labkit.layers.response_cache import ResponseCache
from labkit.layers.sqlite_store import SqliteStore

TEXT = "It rained for most of the day, and the river rose by forty centimetres. " * 10
ASK: dict[str, Any] = {
    "model": "claude-opus-5-5",
    "max_tokens": 500,
    "messages": [{"role": "user", "content": TEXT}],
}
ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-opus-5-5",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 200, "output_tokens": 200},
}
AT_ONCE, THINKING_S = 20, 0.2
TARGET = 1.0
Call = Callable[[], object]


class Model:
    """What is asked where the cache has nothing: it counts, and thinks for a moment."""

    def __init__(self) -> None:
        self.asked = 0
        self._lock = threading.Lock()

    def think(self) -> None:
        """Count and wait."""
        with self._lock:
            self.asked += 1
        time.sleep(THINKING_S)

    def serve(self, _: httpx2.Request) -> httpx2.Response:
        """Answer the SDK."""
        self.think()
        return httpx2.Response(200, json=ANSWER)


def labkit_call(model: Model, store: Store) -> Call:
    """Return a call of the SDK with a response cache."""
    http = httpx2.Client(transport=httpx2.MockTransport(model.serve))
    layers = [ResponseCache(store)]
    client = anthropic.Anthropic(api_key="k", max_retries=0, http_client=http, middleware=layers)
    return lambda: client.messages.create(**ASK)


def langchain_call(model: Model, folder: Path) -> Call:
    """Return a call of LangChain with its SQLite cache."""
    warnings.simplefilter("ignore")  # its package says that it is no longer maintained
    from langchain_community.cache import SQLiteCache
    from langchain_core.language_models.fake_chat_models import FakeListChatModel

    warnings.simplefilter("ignore")  # importing it turned its warnings on again

    class Thinking(FakeListChatModel):
        """A chat model that answers as the other one does."""

        def _call(self, *_: Any, **__: Any) -> str:
            model.think()
            return TEXT

    chat = Thinking(responses=[TEXT], cache=SQLiteCache(str(folder / "langchain.db")))
    return lambda: chat.invoke(TEXT)


def cachetools_call(model: Model) -> Call:
    """Return a function that cachetools remembers by its canonical JSON."""

    def key(body: dict[str, Any]) -> str:
        return json.dumps(body, sort_keys=True)

    @cachetools.cached(cachetools.TTLCache(10_000, 3600), key=key, lock=threading.RLock())
    def ask(body: dict[str, Any]) -> anthropic.types.Message:  # noqa: ARG001
        model.think()
        return anthropic.types.Message.construct(**ANSWER)

    return lambda: ask(ASK)


def flow_call() -> Call:
    """Return a hit of the flow alone, from memory."""
    cache, request = ResponseCache(MemoryStore()), Request(ASK)
    answered = Outcome(200, value=None)

    def play() -> object:
        flow, answer = cache.flow(request), None
        try:
            while True:
                effect: Any = flow.send(answer)
                kind = type(effect)
                answer = 0.0 if kind is Now else answered if kind is Send else None
        except StopIteration as end:
            return end.value

    return play


def timed(call: Call, calls: int) -> float:
    """Return the microseconds of one of some calls in a row."""
    began = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - began) / calls * 1e6


def rate(call: Call, calls: int) -> float:
    """Return the calls a second of eight threads."""
    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(timed, call, calls) for _ in range(8)]:
            done.result()
    return 8 * calls / (time.perf_counter() - began)


def stampede(call: Call) -> int:
    """Let twenty threads ask at once; return how many of them got an exception."""
    ready = threading.Barrier(AT_ONCE)

    def fails(_: int) -> bool:
        ready.wait()
        try:
            call()
        except Exception:  # LangChain's cache lets the database's own error through
            return True
        return False

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(fails, range(AT_ONCE)))


def main() -> None:
    """Make the stampedes, which fill the caches, then time the hits, and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calls", type=int, default=20)
    options = parser.parse_args()
    peers = f"langchain-community {version('langchain-community')}, "
    print(f"{peers}cachetools {version('cachetools')}; {options.rounds} rounds")
    with tempfile.TemporaryDirectory() as place:
        models = {
            name: Model() for name in ("labkit: SQLite", "labkit: memory", "LangChain: SQLite")
        }
        models["cachetools"] = Model()
        calls = {
            "labkit: SQLite": labkit_call(
                models["labkit: SQLite"], SqliteStore(Path(place) / "l.db")
            ),
            "labkit: memory": labkit_call(models["labkit: memory"], MemoryStore()),
            "LangChain: SQLite": langchain_call(models["LangChain: SQLite"], Path(place)),
            "cachetools": cachetools_call(models["cachetools"]),
        }
        failed = {name: stampede(call) for name, call in calls.items()}
        calls["labkit: flow alone"] = flow_call()
        times: dict[str, list[float]] = {name: [] for name in calls}
        rates: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(options.rounds):
            for name, call in calls.items():
                times[name].append(timed(call, options.calls))
                rates[name].append(rate(call, options.calls))
    for name, took in times.items():
        asked = f"asked {models[name].asked}, failed {failed[name]}" if name in models else ""
        hits = f"{median(took):8,.1f} us a hit {median(rates[name]):10,.0f} hits/s"
        print(f"{name:<20} {hits}   {asked}".rstrip())
    ratio = median(times["labkit: SQLite"]) / median(times["LangChain: SQLite"])
    verdict = "met" if ratio <= TARGET else "MISSED"
    print(f"a hit, labkit: SQLite / LangChain: SQLite  {ratio:.3f}  target {TARGET}: {verdict}")


if __name__ == "__main__":
    main()

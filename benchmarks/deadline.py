"""How late a deadline is: every fault of the simulator, over a real connection, in all four ways.

    uv run python benchmarks/deadline.py [--rounds 10] [--deadline 0.3]

One `labkit serve` per fault runs in a process of its own.  Sync and async clients ask it plainly
and for a stream that is read to its end, through `Deadline` and `Retry`.  The excess is the wall
time beyond the deadline, the worst of all rounds; a call that ends before it has none.  At the
end: what a deadline costs a call that answers at once, against the same call without.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import anthropic
import httpx2

from labkit import Deadline, Layer, Retry
from labkit.errors import LabkitError
from labkit.layers.attempt_timeout import AttemptTimeout
from labkit.sim.fault_kinds import BATCH_FAULTS, FAULTS

ALLOWED_S = 0.05
SPEED = 20
AFTER = 4
"""Events before the faults strike that can wait for some."""
LABKIT = ("-c", "from labkit.cli import main; main()", "serve", "--port", "0")
KINDS = [kind for kind in FAULTS if kind not in BATCH_FAULTS]
WAYS = ("sync plain", "sync stream", "async plain", "async stream")
ENDS = (LabkitError, anthropic.APIError, httpx2.TransportError, ValueError)
BODY: dict[str, Any] = {
    "model": "claude-haiku-4-5",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "How does a queue fill up?"}],
}


def main() -> None:
    """Print the table, then the price."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help="calls of each kind")
    parser.add_argument("--deadline", type=float, default=0.3, help="seconds")
    parser.add_argument("--kinds", nargs="*", default=KINDS, help="faults, all without it")
    options = parser.parse_args()
    print(f"anthropic {anthropic.__version__}, httpx2 {httpx2.__version__},", end=" ")
    print(f"Python {platform.python_version()}, deadline {options.deadline} s,", end=" ")
    print(f"{options.rounds} rounds; worst excess in milliseconds")
    print(f"{'fault':<18}" + "".join(f"{way:>14}" for way in WAYS))
    worst = 0.0
    for kind in options.kinds:
        with server(kind) as url:
            found = excesses(url, options.rounds, options.deadline)
        print(f"{kind:<18}" + "".join(f"{excess * 1000:>14.1f}" for excess in found), flush=True)
        worst = max(worst, *found)
    verdict = "met" if worst <= ALLOWED_S else "MISSED"
    print(f"worst of all {worst * 1000:.1f} ms; target {ALLOWED_S * 1000:.0f}: {verdict}")
    for line in prices(max(200, 40 * options.rounds)):
        print(line)


@contextmanager
def server(kind: str) -> Iterator[str]:
    """Serve one fault, and say where."""
    with tempfile.TemporaryDirectory() as place:
        scenario = Path(place) / "scenario.toml"
        fault = f'[[fault]]\nkind = "{kind}"\nafter = {AFTER}\nfactor = 1000\n'
        scenario.write_text(f'tier = "none"\nspeed = {SPEED}\n{fault}')
        command = [sys.executable, *LABKIT, "--scenario", str(scenario)]
        with subprocess.Popen(  # noqa: S603
            command, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().split()[-1]
            finally:
                process.terminate()


def excesses(url: str, rounds: int, patience: float) -> list[float]:
    """Return the worst excess in seconds of each way."""
    options: dict[str, Any] = {"base_url": url, "api_key": "k", "max_retries": 0}
    stack = [Deadline(patience), Retry(seed=1)]
    found = []
    with anthropic.Anthropic(middleware=stack, **options) as client:
        for stream in (False, True):
            call(client, stream=stream)  # the first one loads what is loaded when needed
            took = [call(client, stream=stream) for _ in range(rounds)]
            found.append(max(0.0, max(took) - patience))

    async def awaited() -> None:
        async with anthropic.AsyncAnthropic(middleware=stack, **options) as client:
            for stream in (False, True):
                await call_async(client, stream=stream)
                took = [await call_async(client, stream=stream) for _ in range(rounds)]
                found.append(max(0.0, max(took) - patience))

    asyncio.run(awaited())
    return found


def call(client: anthropic.Anthropic, *, stream: bool) -> float:
    """Call, read to the end, and return the seconds it took."""
    began = time.perf_counter()
    try:
        answer: Any = client.messages.create(**BODY, stream=stream)
        for _ in answer if stream else ():
            pass
    except ENDS:
        pass
    return time.perf_counter() - began


async def call_async(client: anthropic.AsyncAnthropic, *, stream: bool) -> float:
    """Do the same with an async client."""
    began = time.perf_counter()
    try:
        answer: Any = await client.messages.create(**BODY, stream=stream)
        if stream:
            async for _ in answer:
                pass
    except ENDS:
        pass
    return time.perf_counter() - began


def prices(calls: int) -> Iterator[str]:
    """Yield what layers cost in CPU time, against one layer that passes everything on."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    body = {"id": "m", "type": "message", "role": "assistant", "content": [], "usage": usage}

    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json=body)

    def client(layer: Layer) -> Callable[[], object]:
        http = httpx2.Client(transport=httpx2.MockTransport(answer))
        asking = anthropic.Anthropic(
            api_key="k", max_retries=0, middleware=[layer], http_client=http
        )
        return lambda: asking.messages.create(**BODY)

    def client_async(layer: Layer) -> Callable[[], Awaitable[object]]:
        http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
        asking = anthropic.AsyncAnthropic(
            api_key="k", max_retries=0, middleware=[layer], http_client=http
        )
        return lambda: asking.messages.create(**BODY)

    layers: dict[str, Callable[[], Layer]] = {
        "Deadline": lambda: Deadline(60),
        "AttemptTimeout": lambda: AttemptTimeout(connect=5, first_token=60, total=60),
    }
    for name, make in layers.items():
        us = compared(client(Layer()), client(make()), calls) * 1e6
        yield f"{name}: {us:.1f} µs more CPU time a call than a layer that passes on, sync"
        us = asyncio.run(compared_async(client_async(Layer()), client_async(make()), calls)) * 1e6
        yield f"{name}: {us:.1f} µs more CPU time a call than a layer that passes on, async"


def compared(plain: Callable[[], object], tried: Callable[[], object], calls: int) -> float:
    """Return how much longer the median call takes, in CPU seconds; the two take turns."""
    turns: tuple[list[float], list[float]] = ([], [])
    gc.disable()
    for number in range(2 * calls):
        began = time.thread_time()
        (tried if number % 2 else plain)()
        turns[number % 2].append(time.thread_time() - began)
    gc.enable()
    return median(turns[1]) - median(turns[0])


async def compared_async(
    plain: Callable[[], Awaitable[object]], tried: Callable[[], Awaitable[object]], calls: int
) -> float:
    """Do the same on a loop."""
    turns: tuple[list[float], list[float]] = ([], [])
    gc.disable()
    for number in range(2 * calls):
        began = time.thread_time()
        await (tried if number % 2 else plain)()
        turns[number % 2].append(time.thread_time() - began)
    gc.enable()
    return median(turns[1]) - median(turns[0])


if __name__ == "__main__":
    main()

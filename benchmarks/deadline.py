"""How late a deadline is: every fault of the simulator, over a real connection, in all four ways.

    uv run python benchmarks/deadline.py [--rounds 10] [--deadline 0.3]

One `labkit serve` per fault runs in a process of its own.  Sync and async clients ask it plainly
and for a stream that is read to its end, through `Deadline` and `Retry`.  The excess is the wall
time beyond the deadline, the worst of all rounds; a call that ends before it has none.  At the
end: what the watching itself costs a call.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import subprocess
import sys
import tempfile
import time
import timeit
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import httpx2

from labkit import Deadline, Retry
from labkit.clock import SystemClock
from labkit.errors import LabkitError
from labkit.flow import Outcome, Request
from labkit.limits import limits_of
from labkit.patience import wait, wait_async
from labkit.sim.fault_kinds import BATCH_FAULTS, FAULTS

ALLOWED_S = 0.05
SPEED = 20
REPEATED = 2_000
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
    for line in prices():
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


def prices() -> Iterator[str]:
    """Yield what the watching itself costs around an answer that is there at once."""
    clock, asked = SystemClock(), Request()
    limited = asked.within(clock.now() + 600)
    outcome = Outcome(status=200)

    def sync(request: Request) -> Outcome:
        limits = limits_of(request, asked, clock)
        return outcome if limits is None else wait(limits, lambda: outcome)

    async def answer() -> Outcome:
        return outcome

    async def on_a_loop(request: Request) -> Outcome:
        limits = limits_of(request, asked, clock)
        return await (answer() if limits is None else wait_async(limits, answer()))

    async def many(request: Request) -> None:
        for _ in range(REPEATED):
            await on_a_loop(request)

    def run(request: Request) -> None:
        asyncio.run(many(request))

    for name, request in (("without a deadline", asked), ("with one", limited)):
        took = min(timeit.repeat(partial(sync, request), number=REPEATED))
        yield f"sync, {name}: {took / REPEATED * 1e6:.1f} µs a call"
        took = min(timeit.repeat(partial(run, request), number=1))
        yield f"async, {name}: {took / REPEATED * 1e6:.1f} µs a call"


if __name__ == "__main__":
    main()

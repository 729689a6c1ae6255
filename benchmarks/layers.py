"""What each layer costs a call, and the whole stack: around an async no-op, beside other libraries.

    uv run python benchmarks/layers.py [--calls 400] [--rounds 15]

There is no HTTP and no SDK client here: a layer's `handle_async` is driven around a function that
returns at once, as the SDK's middleware chain does it.  All take turns in every round, so a busy
machine slows all of them; the garbage collector runs between the rounds, never within.  Ratios
are of one tenacity wrapper, the median over the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from statistics import median, quantiles
from typing import Any

import anthropic
import interlock
import pybreaker
import stamina
import tenacity
from anthropic import APIRequest
from anthropic._models import FinalRequestOptions

from labkit import Breaker, Deadline, Fallback, Layer, Retry, Throttle, canned
from labkit.layers.bulkhead import Bulkhead

PEER = "tenacity"
STACK = "labkit: the whole stack"
TARGET = 3.0
"""The stack costs less than three tenacity wrappers."""
BODY = {"model": "claude-haiku-5-5", "max_tokens": 64, "messages": []}
PLENTY = 1e12
"""A minute's quota that no benchmark uses up."""

Call = Callable[[], Awaitable[Any]]


def main() -> None:
    """Measure all wrappers in one run and print a line for each."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--calls", type=int, default=400, help="calls of each in a round")
    parser.add_argument("--rounds", type=int, default=15, help="rounds")
    options = parser.parse_args()
    peers = ("tenacity", "stamina", "pybreaker", "interlock-cb")
    named = ", ".join(f"{name} {version(name)}" for name in ("anthropic", *peers))
    print(f"{named}, Python {platform.python_version()}")
    print(f"{options.rounds} rounds of {options.calls} calls of each")
    print(f"{'':32}{'ratio to tenacity':>18} {'(quartiles)':>17} {'µs of CPU':>10}")
    seconds = asyncio.run(measure(options.calls, options.rounds))
    for name, times in seconds.items():
        print(line(name, times, seconds[PEER], options.calls))


def wrapped() -> dict[str, Call]:
    """Return everything that is compared, each around the same no-op."""
    stack: Sequence[Layer] = [deadline(), fallback(), Retry(), Breaker(), throttle(), Bulkhead(8)]
    return {
        "nothing": noop,
        "pybreaker": in_pybreaker(),
        "interlock-cb": in_interlock(),
        "stamina": stamina.retry(on=ConnectionError)(noop),
        PEER: in_tenacity(noop),
        "3 x tenacity": in_tenacity(in_tenacity(in_tenacity(noop))),
        "labkit: a layer that passes on": through([Layer()]),
        "labkit: Deadline": through([deadline()]),
        "labkit: Fallback": through([fallback()]),
        "labkit: Retry": through([Retry()]),
        "labkit: Breaker": through([Breaker()]),
        "labkit: Throttle": through([throttle()]),
        "labkit: Bulkhead": through([Bulkhead(8)]),
        STACK: through(stack),
    }


async def noop() -> object:
    """Return at once."""
    return BODY


def deadline() -> Deadline:
    """Return a deadline that never comes."""
    return Deadline(30.0)


def fallback() -> Fallback:
    """Return a ladder that nobody goes down."""
    return Fallback(canned("Later."))


def throttle() -> Throttle:
    """Return a throttle that holds nobody up."""
    return Throttle(requests=PLENTY, input_tokens=PLENTY, output_tokens=PLENTY)


def through(layers: Sequence[Layer]) -> Call:
    """Chain layers around the no-op as the SDK chains middlewares, first listed outermost."""

    async def innermost(_: APIRequest) -> Any:
        return await noop()

    chain: anthropic.AsyncCallNext = innermost
    for layer in reversed(layers):
        chain = around(layer, chain)
    options = FinalRequestOptions(method="post", url="/v1/messages", json_data=BODY)
    request = APIRequest(options=options, cast_to=object)
    return lambda: chain(request)


def around(layer: Layer, call_next: anthropic.AsyncCallNext) -> anthropic.AsyncCallNext:
    """Put one layer around what comes next."""

    async def handle(request: APIRequest) -> Any:
        return await layer.handle_async(request, call_next)

    return handle


def in_tenacity(work: Call) -> Call:
    """Put tenacity's decorator around a function."""
    decorator = tenacity.retry(
        stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_random_exponential(max=30)
    )
    return decorator(work)


def in_pybreaker() -> Call:
    """Put a breaker's context manager around the no-op; its decorator cannot await."""
    breaker = pybreaker.CircuitBreaker()

    async def call() -> object:
        with breaker.calling():
            return await noop()

    return call


def in_interlock() -> Call:
    """Put a breaker with a failure rate around the no-op."""
    breaker = interlock.CircuitBreaker(name="noop")
    return lambda: breaker.call(noop)


async def measure(calls: int, rounds: int) -> dict[str, list[float]]:
    """Let all take turns; return the CPU seconds that each needed for its calls, round by round."""
    every = wrapped()
    seconds: dict[str, list[float]] = {name: [] for name in every}
    for call in every.values():
        await timed(call, calls)  # the first calls are slow and do not count
    for turn in range(rounds):
        gc.collect()
        gc.disable()
        for name in list(every) if turn % 2 else list(every)[::-1]:
            seconds[name].append(await timed(every[name], calls))
        gc.enable()
    return seconds


async def timed(call: Call, calls: int) -> float:
    """Make the calls and return the CPU seconds they took."""
    assert await call() is BODY
    began = time.process_time()
    for _ in range(calls):
        await call()
    return time.process_time() - began


def line(name: str, own: list[float], peer: list[float], calls: int) -> str:
    """Put the ratio, its spread and the time of a call into a line; the stack has a target."""
    ratios = [mine / theirs for mine, theirs in zip(own, peer, strict=True)]
    low, ratio, high = quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    verdict = ""
    if name == STACK:
        verdict = f"  target {TARGET}: {'met' if ratio < TARGET else 'MISSED'}"
    spread = f"({low:.2f} to {high:.2f})"
    return f"{name:32}{ratio:18.3f} {spread:>17} {median(own) / calls * 1e6:10.2f}{verdict}"


if __name__ == "__main__":
    main()

"""The same checks on our retries, the SDK's own and those of other libraries, on virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from importlib import import_module
from itertools import pairwise
from typing import Any

import anthropic
import stamina
import tenacity

from labkit.clock import VirtualClock
from labkit.drivers import Layer
from labkit.errors import DeadlineExceeded
from labkit.layers.deadline import Deadline
from labkit.layers.retry import Retry
from labkit.virtual_loop import run_virtual
from tests.wire import answer, refusal
from tests.world import Script, World

__all__ = ["LIMITS", "RETRIES", "attempts", "seconds_under_a_limit", "table", "waits"]

ATTEMPTS = 12
Work = Callable[[], Awaitable[Any]]
Retried = Callable[[Work], Awaitable[Any]]


class Failed(Exception):
    """The service is overloaded."""


async def _stamina(work: Work) -> Any:
    async for attempt in stamina.retry_context(on=Failed, attempts=ATTEMPTS, timeout=None):
        with attempt:
            return await work()
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _tenacity_additive(work: Work) -> Any:
    wait = tenacity.wait_exponential_jitter(max=8)
    stop = tenacity.stop_after_attempt(ATTEMPTS)
    return await tenacity.AsyncRetrying(wait=wait, stop=stop, reraise=True)(work)


async def _tenacity_full(work: Work) -> Any:
    wait = tenacity.wait_random_exponential(max=8)
    stop = tenacity.stop_after_attempt(ATTEMPTS)
    return await tenacity.AsyncRetrying(wait=wait, stop=stop, reraise=True)(work)


async def _redress(work: Work) -> Any:
    redress = import_module("redress")
    policy = redress.AsyncRetryPolicy(
        classifier=lambda _: redress.ErrorClass.TRANSIENT,
        strategy=redress.decorrelated_jitter(max_s=8.0),
        max_attempts=ATTEMPTS,
        deadline_s=3600,
    )
    return await policy.call(work)


RETRIES: dict[str, Retried | None] = {
    "labkit": None,
    "SDK": None,
    "stamina": _stamina,
    "tenacity, additive": _tenacity_additive,
    "tenacity, full": _tenacity_full,
    "redress": _redress,
}
"""None: the retries live in a client of the SDK."""


def attempts(name: str) -> list[float]:
    """Return when each attempt of a call began, to a service that is overloaded."""
    retried = RETRIES[name]
    if retried is None:
        return _attempts_of_a_client(name)
    clock, begun = VirtualClock(), []

    async def work() -> None:
        begun.append(clock.now())
        raise Failed

    async def run() -> None:
        with suppress(Failed):
            await retried(work)

    run_virtual(run(), clock)
    return begun


def _attempts_of_a_client(name: str) -> list[float]:
    layers: list[Layer] = [Retry(ATTEMPTS)] if name == "labkit" else []
    options = {} if layers else {"max_retries": ATTEMPTS - 1}
    server = Script(refusal(latency_s=0.0))

    async def call(api: Any) -> None:
        with suppress(anthropic.APIStatusError):
            await api.create()

    World("async").run(call, server, layers, **options)
    return server.arrivals


def waits(name: str) -> list[float]:
    """Return the seconds between those attempts."""
    return [round(later - earlier, 6) for earlier, later in pairwise(attempts(name))]


async def _stamina_in_time(work: Work) -> Any:
    async for attempt in stamina.retry_context(on=Failed, timeout=0.5):
        with attempt:
            return await work()
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _tenacity_in_time(work: Work) -> Any:
    return await tenacity.AsyncRetrying(stop=tenacity.stop_after_delay(0.5))(work)


async def _redress_in_time(work: Work) -> Any:
    redress = import_module("redress")
    policy = redress.AsyncRetryPolicy(
        classifier=lambda _: redress.ErrorClass.TRANSIENT,
        strategy=redress.decorrelated_jitter(max_s=8.0),
        deadline_s=0.5,
    )
    return await policy.call(work)


LIMITS: dict[str, Retried | None] = {
    "labkit": None,
    "stamina": _stamina_in_time,
    "tenacity, additive": _tenacity_in_time,
    "redress": _redress_in_time,
}
"""Retries that were given half a second in all."""


def seconds_under_a_limit(name: str) -> float:
    """Return how long a call of two seconds lasts that was given half a second."""
    retried = LIMITS[name]
    if retried is None:
        world = World("async")

        async def call(api: Any) -> None:
            with suppress(DeadlineExceeded):
                await api.create()

        world.run(call, Script(answer(latency_s=2.0)), [Deadline(0.5), Retry()])
        return world.clock.now()
    clock = VirtualClock()

    async def work() -> None:
        await clock.sleep_async(2.0)

    async def run() -> None:
        await retried(work)

    run_virtual(run(), clock)
    return clock.now()


def table() -> Iterator[str]:
    """Yield the lines of a table: a column for each library, "-" where there is no such option."""
    yield f"{'':36}" + "".join(f"{name:>20}" for name in RETRIES)
    drawn = {name: [waits(name)[-1] for _ in range(20)] for name in RETRIES}
    last = [f"{min(found):.2f} to {max(found):.2f} s" for found in drawn.values()]
    yield f"{'the 11th wait, over 20 calls':36}" + "".join(f"{cell:>20}" for cell in last)
    took = [f"{seconds_under_a_limit(n):.2f} s" if n in LIMITS else "-" for n in RETRIES]
    yield f"{'a 2 s call with 0.5 s in all takes':36}" + "".join(f"{cell:>20}" for cell in took)


if __name__ == "__main__":
    print(*table(), sep="\n")

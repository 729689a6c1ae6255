"""The same checks on our breaker and on those of other libraries, each a number or a yes.

Every breaker here opens for about the same trouble: five failures where it counts them, half of
at least ten calls where it knows a rate.  Time is the test's: libraries that read a clock of
their own are lent this one.  `checked` runs every check on every breaker, for a table.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import anthropic
import httpx2
from anthropic import APIRequest
from anthropic._models import FinalRequestOptions

from labkit.clock import VirtualClock
from labkit.layers.breaker import Breaker
from labkit.layers.circuit import Circuit

__all__ = ["BREAKERS", "CHECKS", "BorrowedTime", "Guard", "Work", "checked", "table"]

Work = Callable[[], Awaitable[Any]]
Guard = Callable[[Work], Awaitable[Any]]
REST = 30.0
"""Seconds that every breaker rests before its first probe (ours: half of that at least)."""


class Sick(anthropic.APIConnectionError):
    """The service has failed."""

    def __init__(self) -> None:
        super().__init__(request=httpx2.Request("POST", "http://127.0.0.1/v1/messages"))


class BorrowedTime(VirtualClock):
    """A monotonic clock and a wall clock, which somebody may set to another hour."""

    wall_ahead = 0.0

    def wall(self) -> float:
        """Return what hangs on the wall, in seconds since 1970."""
        return 1_800_000_000.0 + self.now() + self.wall_ahead

    def monotonic(self) -> float:
        """Return the time that never jumps, under the name that one library asks for."""
        return self.now()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Lend this time to the libraries that read the machine's."""
        clock = self

        class Calendar(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return datetime.fromtimestamp(clock.wall(), tz)

            @classmethod
            def utcnow(cls) -> Any:
                return datetime.fromtimestamp(clock.wall(), UTC).replace(tzinfo=None)

        with ExitStack() as stack:
            for place in ("pybreaker", "aiobreaker.circuitbreaker", "aiobreaker.state"):
                stack.enter_context(patch(f"{place}.datetime", Calendar))
            stack.enter_context(patch("hyx.circuitbreaker.states.datetime", Calendar))
            stack.enter_context(
                patch("purgatory.domain.model.time", SimpleNamespace(time=self.wall))
            )
            stack.enter_context(patch("circuitbreaker.monotonic", self.now))
            yield


# -- the breakers, all behind one door ------------------------------------------------------------


def _labkit(clock: BorrowedTime) -> Guard:
    dice = random.Random(1)
    layer = Breaker(lambda: Circuit(minimum=10, rest=REST, successes=1, dice=dice))
    layer.clock = clock
    asked = APIRequest(
        options=FinalRequestOptions(method="post", url="/v1/messages", json_data={}),
        cast_to=object,
    )

    async def guard(work: Work) -> Any:
        async def call_next(_: APIRequest) -> Any:
            return await work()

        return await layer.handle_async(asked, call_next)

    return guard


def _pybreaker(_: BorrowedTime) -> Guard:
    breaker = import_module("pybreaker").CircuitBreaker(fail_max=5, reset_timeout=REST)

    async def guard(work: Work) -> Any:
        with breaker.calling():
            return await work()

    return guard


def _aiobreaker(_: BorrowedTime) -> Guard:
    module = import_module("aiobreaker")
    breaker = module.CircuitBreaker(fail_max=5, timeout_duration=timedelta(seconds=REST))
    return lambda work: breaker.call_async(work)


def _purgatory(_: BorrowedTime) -> Guard:
    factory = import_module("purgatory").AsyncCircuitBreakerFactory(5, REST)

    async def guard(work: Work) -> Any:
        async with await factory.get_breaker("it"):
            return await work()

    return guard


def _hyx(_: BorrowedTime) -> Guard:
    module = import_module("hyx.circuitbreaker")
    breaker = module.consecutive_breaker(failure_threshold=5, recovery_time_secs=REST)

    async def guard(work: Work) -> Any:
        async with breaker:
            return await work()

    return guard


def _circuitbreaker(_: BorrowedTime) -> Guard:
    breaker = import_module("circuitbreaker").CircuitBreaker(5, REST, name="it")
    return lambda work: breaker(work)()


def _interlock(clock: BorrowedTime) -> Guard:
    module = import_module("interlock")
    config = module.Config(wait_duration_in_open=REST, permitted_calls_in_half_open=1)
    breaker = module.CircuitBreaker(name="it", config=config, clock=clock)
    return lambda work: breaker.call(work)


def _redress(clock: BorrowedTime) -> Guard:
    module = import_module("redress")
    breaker = module.CircuitBreaker(
        failure_threshold=5, window_s=60.0, recovery_timeout_s=REST, clock=clock.now
    )

    async def guard(work: Work) -> Any:
        if not breaker.allow().allowed:
            raise module.CircuitOpenError(breaker.state.value)
        try:
            answer = await work()
        except asyncio.CancelledError:
            breaker.record_cancel()
            raise
        except Sick:
            breaker.record_failure(module.ErrorClass.TRANSIENT)
            raise
        breaker.record_success()
        return answer

    return guard


BREAKERS: dict[str, Callable[[BorrowedTime], Guard]] = {
    "labkit": _labkit,
    "pybreaker": _pybreaker,
    "aiobreaker": _aiobreaker,
    "purgatory": _purgatory,
    "hyx": _hyx,
    "circuitbreaker": _circuitbreaker,
    "interlock": _interlock,
    "redress": _redress,
}


# -- the checks -----------------------------------------------------------------------------------


class Service:
    """What the breaker stands before: it counts who reached it, and is sick or well."""

    def __init__(self) -> None:
        self.reached = 0
        self.sick = False

    async def __call__(self) -> str:
        """Answer."""
        self.reached += 1
        if self.sick:
            raise Sick
        return "fine"


async def asked(guard: Guard, service: Service, *, sick: bool = False) -> bool:
    """Make one call and say whether it reached the service."""
    before, service.sick = service.reached, sick

    async def work() -> str:  # one library insists on a function
        return await service()

    with suppress(Exception):  # a refusal of any library, or the failure itself
        await guard(work)
    return service.reached > before


async def opened(guard: Guard, service: Service, most: int = 50) -> bool:
    """Let calls fail until one is refused; say whether that happened."""
    for _ in range(most):
        if not await asked(guard, service, sick=True):
            return True
    return False


async def partial_outage(guard: Guard, clock: BorrowedTime) -> int:
    """Four calls in five fail, 500 calls: how many of them are refused?"""
    service, refused = Service(), 0
    for number in range(500):
        clock.sleep(0.01)
        refused += not await asked(guard, service, sick=number % 5 != 4)
    return refused


async def busy_service(guard: Guard, clock: BorrowedTime) -> bool:
    """A hundred calls a second for 20 s, one in a hundred fails: is anybody refused?"""
    service = Service()
    for number in range(2000):
        clock.sleep(0.01)
        if not await asked(guard, service, sick=number % 100 == 0):
            return True
    return False


async def crowd_at_the_door(guard: Guard, clock: BorrowedTime) -> int:
    """The rest is over and 50 callers come at once: how many reach the service?"""
    await opened(guard, Service())
    clock.sleep(2 * REST)
    crowd, door = Service(), asyncio.Event()

    async def work() -> str:
        answer = await crowd()
        await door.wait()
        return answer

    tasks = [asyncio.ensure_future(guard(work)) for _ in range(50)]
    for _ in range(10):
        await asyncio.sleep(0)
    door.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    return crowd.reached


async def cancelled_calls(guard: Guard, clock: BorrowedTime) -> bool:  # noqa: ARG001
    """Thirty callers lose patience and cancel: is the next one refused?"""

    async def hang() -> None:
        await asyncio.Event().wait()

    tasks = [asyncio.ensure_future(guard(hang)) for _ in range(30)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return not await asked(guard, Service())


async def late_success(guard: Guard, clock: BorrowedTime) -> bool:
    """A call from before the trip succeeds when half-open: is everybody let in on its word?"""
    service, slow, probing = Service(), asyncio.Event(), asyncio.Event()

    async def before() -> str:
        await slow.wait()
        return "fine"

    async def probe() -> str:
        await probing.wait()
        return "fine"

    late = asyncio.ensure_future(guard(before))
    await asyncio.sleep(0)
    await opened(guard, service)
    clock.sleep(2 * REST)
    under_way = asyncio.ensure_future(guard(probe))
    for _ in range(5):
        await asyncio.sleep(0)
    slow.set()
    await late
    reached = [await asked(guard, service) for _ in range(3)]
    probing.set()
    await under_way
    return all(reached)


async def late_success_while_open(guard: Guard, clock: BorrowedTime) -> bool:  # noqa: ARG001
    """The same while it is still open: is the next caller let in?"""
    service, slow = Service(), asyncio.Event()

    async def before() -> str:
        await slow.wait()
        return "fine"

    late = asyncio.ensure_future(guard(before))
    await asyncio.sleep(0)
    await opened(guard, service)
    slow.set()
    await asyncio.gather(late, return_exceptions=True)
    return await asked(guard, service)


async def wall_clock(guard: Guard, clock: BorrowedTime) -> bool:
    """It is open, and somebody sets the wall clock an hour ahead: is the next caller let in?"""
    service = Service()
    await opened(guard, service)
    clock.wall_ahead = 3600
    return await asked(guard, service)


async def rests(guard: Guard, clock: BorrowedTime) -> list[float]:
    """Five probes in a row fail: how many seconds is the rest before each, to half a second?"""
    service, found = Service(), []
    await opened(guard, service)
    for _ in range(5):
        began = clock.now()
        while not await asked(guard, service, sick=True):
            clock.sleep(0.5)
        found.append(clock.now() - began)
    return found


Check = Callable[[Guard, BorrowedTime], Awaitable[Any]]
CHECKS: dict[str, Check] = {
    "refused of 500, 80 % failing": partial_outage,
    "refuses at 1 % failures": busy_service,
    "probes of a crowd of 50": crowd_at_the_door,
    "opens for cancelled calls": cancelled_calls,
    "a late success closes it": late_success,
    "a late success lets one in": late_success_while_open,
    "believes the wall clock": wall_clock,
    "rests, in seconds": rests,
}


def checked(breaker: str, check: Check) -> Any:
    """Run one check on a new breaker of that library and return what it found."""
    clock = BorrowedTime()
    with clock.lent():

        async def run() -> Any:
            return await check(BREAKERS[breaker](clock), clock)

        return asyncio.run(run())


def table() -> Iterator[str]:
    """Yield the lines of a table: a row for each check, a column for each breaker."""
    yield f"{'':30}" + "".join(f"{name:>16}" for name in BREAKERS)
    for title, check in CHECKS.items():
        found = [checked(name, check) for name in BREAKERS]
        cells = [
            f"{min(cell):g} to {max(cell):g}" if isinstance(cell, list) else str(cell)
            for cell in found
        ]
        yield f"{title:30}" + "".join(f"{cell:>16}" for cell in cells)


if __name__ == "__main__":
    print(*table(), sep="\n")

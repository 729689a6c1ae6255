"""Whose cancellation it was: an alarm's is a timeout for the layers inside, the caller's is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.drivers import Layer
from labkit.errors import DeadlineExceeded
from labkit.flow import Flow, Gate, Outcome, Request, Send, Sleep, Wait
from labkit.layers.attempt_timeout import AttemptTimeout
from labkit.layers.backoff import FullJitter
from labkit.layers.breaker import Breaker
from labkit.layers.bulkhead import Bulkhead
from labkit.layers.circuit import Circuit
from labkit.layers.deadline import Deadline
from labkit.layers.hedge import Hedge
from labkit.layers.retry import Retry
from labkit.layers.throttle import Throttle
from labkit.wakening import GRACE_S
from tests.wire import CALL, PING, SILENCE, START, answer, refusal, stream
from tests.world import Api, Passing, Script, Scripted, World

DRIPS = stream(START, *[PING] * 200, every_s=1)


class Foreign(anthropic.Middleware):
    """Somebody else's middleware, which does what it likes."""

    def __init__(self, course: Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]) -> None:
        self.course = course

    async def handle_async(self, request: Any, call_next: Any) -> Any:
        """Do it."""
        return await self.course(lambda: call_next(request))


@pytest.mark.parametrize("reply", [SILENCE, DRIPS, answer(latency_s=20)])
def test_who_waits_inside_sees_a_timeout(world: World, reply: Any) -> None:
    """With either client, whatever the server does."""
    inside = [Passing(), Passing()]
    with pytest.raises(DeadlineExceeded) as caught:
        world.run(lambda api: api.events(), Script(reply), [Deadline(10), *inside])
    for layer in inside:
        assert [outcome.reason for outcome in layer.outcomes] == ["APITimeoutError"]
        assert layer.outcomes[0].unreachable
    assert caught.value.__cause__ is inside[0].outcomes[0].error
    assert world.clock.now() == 10


async def leaving(api: Api, after: float, *, first: bool = False) -> None:
    """Call and be cancelled after some seconds; `first`: by a timer set before the call's."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(api.create())
    if not first:
        await asyncio.sleep(0.001)
    loop.call_at(after, task.cancel)
    await task


@given(st.integers(10, 20_000), st.integers(10, 20_000), st.booleans())
def test_a_caller_who_leaves_first_is_no_timeout(one: int, other: int, same: bool) -> None:
    """Nor is one who leaves at the same moment; the times are milliseconds."""
    patience, leaves = one / 1000, (one if same else other) / 1000
    world, inside = World("async"), Passing()
    expected = asyncio.CancelledError if leaves <= patience else DeadlineExceeded
    with pytest.raises(expected):
        world.run(lambda api: leaving(api, leaves), Script(SILENCE), [Deadline(patience), inside])
    assert inside.ended == 1
    assert len(inside.outcomes) == (expected is DeadlineExceeded)


@pytest.mark.parametrize("first", [True, False])
def test_a_caller_who_leaves_as_the_alarm_rings_is_no_timeout(first: bool) -> None:
    """Whichever of the two timers was set first."""
    world, inside = World("async"), Passing()
    with pytest.raises(asyncio.CancelledError):
        world.run(
            lambda api: leaving(api, 10, first=first), Script(SILENCE), [Deadline(10), inside]
        )
    assert (inside.ended, inside.outcomes) == (1, [])


@pytest.mark.parametrize("first", [True, False])
def test_a_caller_who_leaves_at_the_end_of_a_wait_is_cancelled(first: bool) -> None:
    """Though the layer would have gone on in the next moment."""

    def patient(request: Request) -> Flow:
        yield Wait(Gate(), request.deadline)
        raise AssertionError("nobody is there any more")

    world = World("async")
    stack = [Deadline(10), Scripted(patient)]
    with pytest.raises(asyncio.CancelledError):
        world.run(lambda api: leaving(api, 10, first=first), Script(SILENCE), stack)


def test_attempts_of_a_race_are_cancelled_when_it_ends_at_the_deadline() -> None:
    """As in a fleet: they are the race's, which has said by then what came of it."""
    world, inside, outside = World("async"), Passing(), Passing()
    stack = [Deadline(10), outside, Hedge(1.0), inside]
    with pytest.raises(DeadlineExceeded):
        world.run(lambda api: api.create(), Script(SILENCE), stack)
    assert (inside.outcomes, inside.ended) == ([], 2)
    assert [outcome.reason for outcome in outside.outcomes] == ["DeadlineExceeded"]
    assert world.clock.now() == 10


def test_alarms_that_ring_at_once_are_one_timeout(world: World) -> None:
    """However many layers set them."""
    stack = [Deadline(10), AttemptTimeout(total=10), Passing(), Deadline(10), inside := Passing()]
    with pytest.raises(DeadlineExceeded):
        world.run(lambda api: api.create(), Script(SILENCE), stack)
    assert [outcome.reason for outcome in inside.outcomes] == ["APITimeoutError"]
    assert world.clock.now() == 10


def test_a_timeout_further_in_leaves_the_time_further_out(world: World) -> None:
    """Two attempts of four seconds have room in ten, a third is cut short."""
    stack = [
        Deadline(10),
        Retry(3, backoff=FullJitter(0.5, 0.5), seed=1),
        AttemptTimeout(total=4),
        inside := Passing(),
    ]
    with pytest.raises(DeadlineExceeded):
        world.run(lambda api: api.create(), Script(SILENCE), stack)
    assert [outcome.reason for outcome in inside.outcomes] == ["APITimeoutError"] * 3
    assert world.clock.now() == 10


@pytest.mark.parametrize("limit", [Deadline(10), AttemptTimeout(total=10)])
@pytest.mark.parametrize("wait", [Sleep(50), Wait(Gate(), 60.0)])
def test_after_the_alarm_nothing_inside_waits_or_is_sent(
    world: World, limit: Layer, wait: Sleep | Wait
) -> None:
    """A layer that waits and tries again ends there and then."""

    def stubborn(request: Request) -> Flow:
        while True:
            yield Send(request)
            yield wait

    server = Script(SILENCE)
    with pytest.raises((DeadlineExceeded, anthropic.APITimeoutError)):
        world.run(lambda api: api.create(), server, [limit, Scripted(stubborn)])
    assert len(server.arrivals) == 1
    assert world.clock.now() == 10


def test_after_the_alarm_no_attempt_begins() -> None:
    """A layer that tries again at once gets no for an answer."""
    seen: list[Outcome] = []

    def stubborn(request: Request) -> Flow:
        for _ in range(3):
            seen.append((yield Send(request)))
        return seen[-1]

    world, server = World("async"), Script(SILENCE)
    stack = [AttemptTimeout(total=10), Scripted(stubborn)]
    with pytest.raises(anthropic.APITimeoutError):
        world.run(lambda api: api.create(), server, stack)
    reasons = [outcome.reason for outcome in seen]
    assert reasons == ["APITimeoutError", "DeadlineExceeded", "DeadlineExceeded"]
    assert len(server.arrivals) == 1
    assert world.clock.now() == 10


async def sleepless(go_on: Callable[[], Awaitable[Any]]) -> Any:
    """Take any error for a reason to wait and try again."""
    while True:
        try:
            return await go_on()
        except anthropic.APIError:
            await asyncio.sleep(50)


def test_somebody_elses_middleware_that_waits_on_is_cancelled_for_good() -> None:
    """A moment later; the layers outside of it see a cut, and nothing is sent."""
    outside, inside = Passing(), Passing()
    world, server = World("async"), Script(SILENCE)
    with pytest.raises(DeadlineExceeded):
        world.run(
            lambda api: api.create(), server, [Deadline(10), outside, Foreign(sleepless), inside]
        )
    assert (outside.outcomes, outside.ended) == ([], 1)
    assert [outcome.reason for outcome in inside.outcomes] == ["APITimeoutError"]
    assert len(server.arrivals) == 1
    assert world.clock.now() == pytest.approx(10 + GRACE_S)


def test_a_caller_who_leaves_after_the_alarm_is_cancelled() -> None:
    """Though the alarm has been heard already."""
    outside, world = Passing(), World("async")
    stack = [Deadline(10), outside, Foreign(sleepless), Passing()]
    with pytest.raises(asyncio.CancelledError):
        world.run(lambda api: leaving(api, 10 + GRACE_S / 2), Script(SILENCE), stack)
    assert (outside.outcomes, outside.ended) == ([], 1)
    assert world.clock.now() == pytest.approx(10 + GRACE_S / 2)


@pytest.mark.parametrize(("seconds", "seen"), [(3, "TimeoutError"), (30, "APITimeoutError")])
def test_a_timeout_of_somebody_elses_is_told_apart(seconds: float, seen: str) -> None:
    """Inside of the alarm, it ends in its own `TimeoutError`."""
    errors: list[str] = []

    async def hurried(go_on: Callable[[], Awaitable[Any]]) -> Any:
        try:
            async with asyncio.timeout(seconds):
                return await go_on()
        except Exception as error:
            errors.append(type(error).__name__)
            raise

    world, inside = World("async"), Passing()
    stack = [Deadline(10), Foreign(hurried), inside]
    with pytest.raises((TimeoutError, DeadlineExceeded)):
        world.run(lambda api: api.create(), Script(SILENCE), stack)
    assert errors == [seen]
    assert [outcome.reason for outcome in inside.outcomes] == [seen][seconds == 3 :]
    assert world.clock.now() == min(seconds, 10)


def test_the_task_goes_on_as_if_nobody_had_cancelled_it() -> None:
    """Its count of cancellations is what it was before the call."""
    world = World("async")

    async def scene(api: Api) -> list[int]:
        task = asyncio.current_task()
        assert task is not None
        counts = []
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                await api.create()
            await asyncio.sleep(1)
            counts.append(task.cancelling())
            task.cancel()  # and does not take it to heart
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(1)
        return counts

    inside = Passing()
    stack = [Deadline(10), Retry(seed=1), inside]
    assert world.run(scene, Script(SILENCE), stack) == [0, 1]
    assert len(inside.outcomes) == 2


REPLIES = [SILENCE, DRIPS, refusal(), answer(latency_s=0.5), answer(latency_s=3)]
TIMES = st.integers(1, 6_000).map(lambda number: number / 1000)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(TIMES, TIMES, TIMES | st.none()), min_size=1, max_size=8),
    st.lists(st.sampled_from(REPLIES), min_size=1, max_size=8),
)
def test_whoever_leaves_or_runs_out_of_time_holds_nothing(
    callers: list[tuple[float, float, float | None]], replies: list[Any]
) -> None:
    """All have ended by their deadline, and places, turns, permits and tasks are given back."""
    world, late = World("async"), list[float]()
    bulkhead, throttle = Bulkhead(2, queue=3), Throttle(requests=120)
    breaker = Breaker(lambda: Circuit(minimum=2, rest=1))
    shared = [Retry(3, seed=1), breaker, throttle, bulkhead, AttemptTimeout(first_token=2)]

    async def caller(api: Api, comes: float, patience: float, leaves: float | None) -> None:
        await asyncio.sleep(comes)
        layers: list[Layer] = [Deadline(patience), *shared]
        layers[0].clock = world.clock
        client = api.client.with_options(middleware=layers)
        task = asyncio.ensure_future(client.messages.create(**CALL))
        if leaves is not None:
            asyncio.get_running_loop().call_later(leaves, task.cancel)
        await asyncio.wait([task])
        late.append(world.clock.now() - comes - patience)
        if not task.cancelled():
            task.exception()

    async def scene(api: Api) -> int:
        await asyncio.gather(*(caller(api, *times) for times in callers))
        return len(asyncio.all_tasks())

    for layer in shared:
        layer.clock = world.clock
    assert world.run(scene, Script(*replies)) == 1
    assert max(late) < 0.001
    assert bulkhead.places.under_way == bulkhead.places.waiting == 0
    assert all(len(desk.line) == 0 for desk in throttle.desks.values())
    assert all(len(circuit._probing) == 0 for circuit in breaker.circuits.values())

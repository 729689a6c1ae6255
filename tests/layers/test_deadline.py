"""Deadline: one point in time for the whole call, whatever happens inside."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anthropic
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.drivers import Layer
from labkit.errors import DeadlineExceeded, LabkitError
from labkit.flow import Flow, Outcome, Request, Send, Sleep
from labkit.layers.breaker import Breaker
from labkit.layers.circuit import Circuit
from labkit.layers.deadline import Deadline
from labkit.layers.fallback import Fallback
from labkit.layers.retry import Retry
from labkit.layers.rungs import canned
from tests.wire import (
    CALL,
    EVENTS,
    PING,
    REFUSED,
    SILENCE,
    START,
    answer,
    message,
    refusal,
    stream,
)
from tests.world import Api, Passing, Script, Scripted, World


def test_an_answer_in_time_is_passed_on(world: World) -> None:
    """A deadline that is not reached changes nothing."""
    found = world.run(lambda api: api.create(), Script(answer(latency_s=9)), [Deadline(10)])
    assert found.content[0].text == "Hello"


@pytest.mark.parametrize(
    ("stack", "seen"),
    [
        ([Deadline(10), Deadline(60)], 10),
        ([Deadline(60), Deadline(10)], 10),
        ([Deadline(60), Deadline(10), Deadline(30)], 10),
        ([], None),
    ],
)
def test_the_earlier_of_several_wins(world: World, stack: list[Layer], seen: float | None) -> None:
    """Wherever it stands."""
    inner = Passing()
    world.run(lambda api: api.create(), Script(answer()), [*stack, inner])
    assert inner.requests[0].deadline == seen


def test_layers_inside_see_it_and_layers_outside_do_not(world: World) -> None:
    """It begins where it stands in the stack."""
    outer, inner = Passing(), Passing()
    world.run(lambda api: api.create(), Script(answer()), [outer, Deadline(10), inner])
    assert outer.requests[0].deadline is None
    assert inner.requests[0].deadline == 10


def test_every_call_has_a_deadline_of_its_own(world: World) -> None:
    """It is gone when the call is over."""
    inner = Passing()

    async def scene(api: Api) -> None:
        for _ in range(3):
            await api.create()

    server = Script(answer(latency_s=4), refusal(400), answer(latency_s=4))
    with pytest.raises(anthropic.BadRequestError):
        world.run(scene, server, [Deadline(10), inner])
    world.run(lambda api: api.create(), Script(answer()), [inner])
    seen = [request.deadline for request in inner.requests]
    assert seen == [10, 14, None]


def test_calls_side_by_side_do_not_see_each_others_deadline() -> None:
    """A task's deadline is its own; so is that of a task it starts before the call."""
    quick, slow, free = Passing(), Passing(), Passing()
    world = World("async")

    async def scene(api: Api) -> None:
        def using(*layers: Any) -> Any:
            for layer in layers:
                layer.clock = world.clock
            return api.client.with_options(middleware=list(layers)).messages.create(**CALL)

        await asyncio.gather(
            using(Deadline(5), quick), using(Deadline(50), slow), using(free), using(free)
        )

    world.run(scene, Script(answer(latency_s=1)))
    found = [[request.deadline for request in layer.requests] for layer in (quick, slow, free)]
    assert found == [[5], [50], [None, None]]


def test_threads_do_not_see_each_others_deadline() -> None:
    """Two calls under way at the same moment, one with a deadline and one without."""
    meeting = threading.Barrier(2)
    limited, free = Passing(), Passing()

    def server(_: httpx2.Request) -> httpx2.Response:
        meeting.wait(10)
        return httpx2.Response(200, json=message())

    def call(*layers: Layer) -> None:
        World("sync").run(lambda api: api.create(), server, layers)

    threads = [
        threading.Thread(target=call, args=(Deadline(5), limited)),
        threading.Thread(target=call, args=(free,)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [request.deadline for request in limited.requests] == [5]
    assert [request.deadline for request in free.requests] == [None]


class Nested(anthropic.Middleware):
    """Makes another call on the way, with whatever client it is given."""

    messages: Any

    def handle(self, request: Any, call_next: Any) -> Any:
        """Call, then go on."""
        self.messages.create(**CALL)
        return call_next(request)

    async def handle_async(self, request: Any, call_next: Any) -> Any:
        """Call, then go on."""
        await self.messages.create(**CALL)
        return await call_next(request)


def test_a_call_made_on_the_way_inherits_the_deadline(world: World) -> None:
    """A summary fetched before the call counts against the caller's patience too."""
    nested, inside = Nested(), Passing()
    inside.clock = world.clock

    async def scene(api: Api) -> None:
        nested.messages = api.client.with_options(middleware=[inside]).messages
        await api.create()
        await api.result(nested.messages.create(**CALL))

    world.run(scene, Script(answer()), [Deadline(10), nested])
    assert [request.deadline for request in inside.requests] == [10, None]


# -- what is under way ----------------------------------------------------------------------------


def test_2_1_check_9_a_running_attempt_is_ended_at_the_deadline(world: World) -> None:
    """Half a second means half a second, on a call that would take two."""
    server = Script(answer(latency_s=2))
    with pytest.raises(DeadlineExceeded):
        world.run(lambda api: api.create(), server, [Deadline(0.5), Retry()])
    assert world.clock.now() == 0.5
    assert len(server.arrivals) == 1


@pytest.mark.parametrize("call", ["create", "events"])
def test_a_silent_server_is_left_at_the_deadline(world: World, call: str) -> None:
    """The SDK's own ten minutes do not count."""
    with pytest.raises(DeadlineExceeded):
        world.run(lambda api: getattr(api, call)(), Script(SILENCE), [Deadline(20)])
    assert world.clock.now() == 20


def test_2_3_a_stream_that_only_pings_is_left_at_the_deadline(world: World) -> None:
    """Pings keep the read timeout from firing; only content counts as a sign of life."""
    server = Script(stream(START, *[PING] * 200, every_s=1))
    with pytest.raises(DeadlineExceeded):
        world.run(lambda api: api.events(), server, [Deadline(20), Retry()], timeout=5)
    assert world.clock.now() == 20
    assert len(server.arrivals) == 1


def test_2_3_a_body_that_drips_is_left_at_the_deadline(world: World) -> None:
    """However often a byte arrives in time for the SDK's timeout."""
    drops = [bytes([byte]) for byte in b'{"type": "message"}' * 20]
    reply = replace(stream(*drops, every_s=1), headers={"content-type": "application/json"})
    with pytest.raises(DeadlineExceeded):
        world.run(lambda api: api.create(), Script(reply), [Deadline(20)], timeout=5)
    assert world.clock.now() == 20


@pytest.mark.parametrize("call", ["events", "final", "wire_bytes"])
def test_a_stream_that_is_being_read_is_cut_off_at_the_deadline(world: World, call: str) -> None:
    """Who reads it waits no longer than who waits for it."""
    server = Script(stream(*EVENTS, every_s=4))
    options = {"stream": True} if call == "wire_bytes" else {}
    with pytest.raises(DeadlineExceeded, match="under way"):
        world.run(lambda api: getattr(api, call)(**options), server, [Deadline(20), Retry()])
    assert world.clock.now() == 20
    assert len(server.arrivals) == 1


def test_a_stream_that_has_said_all_it_has_to_say_ends_at_the_deadline(world: World) -> None:
    """Nothing is missing, although the server holds the line."""
    server = Script(stream(*EVENTS, *[PING] * 20, every_s=2))
    events = world.run(lambda api: api.events(), server, [Deadline(20)])
    assert events[-1].type == "message_stop"
    assert world.clock.now() == 20


def test_a_wait_of_a_layer_inside_is_cut_short(world: World) -> None:
    """At once, and nothing is sent."""

    def dawdling(request: Request) -> Flow:
        yield Sleep(100)
        outcome: Outcome = yield Send(request)
        return outcome

    server = Script(answer())
    with pytest.raises(DeadlineExceeded):
        world.run(lambda api: api.create(), server, [Deadline(20), Scripted(dawdling)])
    assert server.arrivals == []
    assert world.clock.now() == 20


def test_a_breaker_inside_counts_what_the_deadline_cut_off(world: World) -> None:
    """A silent service is a failing one, whoever loses patience first."""
    server = Script(SILENCE)
    breaker = Breaker(lambda: Circuit(minimum=3, rest=60))

    async def scene(api: Api) -> list[str]:
        ends = []
        for _ in range(5):
            with pytest.raises(LabkitError) as caught:
                await api.create()
            ends.append(type(caught.value).__name__)
        return ends

    ends = world.run(scene, server, [Deadline(5), breaker])
    assert ends == ["DeadlineExceeded"] * 3 + ["CircuitOpen"] * 2
    assert server.arrivals == [0, 5, 10]


def test_an_answer_that_is_ready_comes_at_the_deadline_itself(world: World) -> None:
    """It takes no time, so a ladder that keeps no reserve hands it on."""
    stack = [Deadline(15), Fallback(canned("Later, please."), reserve=0)]
    found = world.run(lambda api: api.create(), Script(SILENCE), stack)
    assert found.content[0].text == "Later, please."
    assert world.clock.now() == 15


def test_an_attempt_that_would_begin_too_late_is_not_begun(world: World) -> None:
    """However it came to be late."""
    server = Script(answer())

    def slow(request: Request) -> Flow:
        world.clock.advance(30)
        outcome: Outcome = yield Send(request)
        return outcome

    with pytest.raises(DeadlineExceeded, match="before there was an answer"):
        world.run(lambda api: api.create(), server, [Deadline(20), Scripted(slow)])
    assert server.arrivals == []


def test_the_interrupted_attempt_gives_its_connection_back() -> None:
    """What was under way is closed."""
    closed = []

    class Body(httpx2.AsyncByteStream):
        async def __aiter__(self) -> Any:
            yield START
            await asyncio.sleep(100)

        async def aclose(self) -> None:
            closed.append(True)

    def server(_: httpx2.Request) -> httpx2.Response:
        kind = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=kind, stream=Body())

    with pytest.raises(DeadlineExceeded):
        World("async").run(lambda api: api.events(), server, [Deadline(20)])
    assert closed


def test_a_timeout_of_the_callers_own_stays_a_timeout() -> None:
    """`asyncio.timeout` around the call is the caller's affair."""
    world = World("async")

    async def scene(api: Api) -> None:
        async with asyncio.timeout(3):
            await api.create()

    with pytest.raises(TimeoutError):
        world.run(scene, Script(SILENCE), [Deadline(20)])
    assert world.clock.now() == 3


@given(
    st.floats(0.01, 50),
    st.sampled_from([SILENCE, REFUSED, refusal(latency_s=20), answer(latency_s=20)]),
    st.sampled_from(["sync", "async"]),
)
def test_the_caller_knows_in_time(patience: float, reply: Any, kind: str) -> None:
    """Whatever the server does, there is an answer or an error by the deadline."""
    world = World(kind)

    async def scene(api: Api) -> float:
        with suppress(DeadlineExceeded, anthropic.APIError):
            await api.create()
        return world.clock.now()

    assert world.run(scene, Script(reply), [Deadline(patience), Retry(seed=1)]) <= patience


# -- what the caller is told ----------------------------------------------------------------------


def overrun(world: World, seconds: float) -> Layer:
    """Make a layer that lets time pass after the attempt, as a slow machine does."""

    def course(request: Request) -> Flow:
        outcome: Outcome = yield Send(request)
        world.clock.advance(seconds)
        return outcome

    return Scripted(course)


def test_a_failure_that_comes_too_late_is_a_deadline_exceeded(world: World) -> None:
    """It says how long the caller waited and what happened last, and has that as its cause."""
    stack = [Deadline(15), overrun(world, 20)]
    with pytest.raises(DeadlineExceeded) as caught:
        world.run(lambda api: api.create(), Script(refusal(400, "no")), stack)
    assert str(caught.value) == "No answer within 15 s; the last attempt ended with 400 no."
    cause = caught.value.__cause__
    assert isinstance(cause, anthropic.APIStatusError)
    assert (cause.status_code, cause.type) == (400, "no")


def test_a_lost_connection_that_is_noticed_too_late_is_the_cause(world: World) -> None:
    """As the exception that the SDK raised."""
    stack = [Deadline(15), overrun(world, 20)]
    with pytest.raises(DeadlineExceeded, match="APIConnectionError") as caught:
        world.run(lambda api: api.create(), Script(REFUSED), stack)
    assert isinstance(caught.value.__cause__, anthropic.APIConnectionError)


def test_the_message_names_the_patience_that_was_left(world: World) -> None:
    """Inside an earlier deadline it is less than this layer's own seconds."""
    stack = [Deadline(15), Deadline(60), overrun(world, 20)]
    with pytest.raises(DeadlineExceeded, match="within 15 s"):
        world.run(lambda api: api.create(), Script(REFUSED), stack)


def test_an_attempt_cut_off_has_the_timeout_as_its_cause(world: World) -> None:
    """There is no other failure to name."""
    with pytest.raises(DeadlineExceeded) as caught:
        world.run(lambda api: api.create(), Script(SILENCE), [Deadline(15)])
    assert isinstance(caught.value.__cause__, anthropic.APITimeoutError)


def test_a_failure_in_time_is_passed_on_unchanged(world: World) -> None:
    """It is no matter of patience."""
    with pytest.raises(anthropic.BadRequestError):
        world.run(lambda api: api.create(), Script(refusal(400, "no")), [Deadline(10)])


def test_an_answer_that_comes_too_late_is_an_answer_all_the_same(world: World) -> None:
    """It may arrive as the deadline passes; throwing it away would help nobody."""
    stack = [Deadline(15), overrun(world, 20)]
    found = world.run(lambda api: api.create(), Script(answer()), stack)
    assert found.content[0].text == "Hello"


@pytest.mark.parametrize("wrong", [0, -1, math.nan])
def test_a_deadline_is_a_positive_number_of_seconds(wrong: float) -> None:
    """Anything else is a mistake in the program."""
    with pytest.raises(ValueError, match="positive"):
        Deadline(wrong)


def test_a_deadline_at_infinity_is_none_at_all(world: World) -> None:
    """Some like to spell "never" that way."""
    assert world.run(lambda api: api.create(), Script(answer()), [Deadline(math.inf)])
    found = world.run(lambda api: api.events(), Script(stream(*EVENTS)), [Deadline(math.inf)])
    assert found[-1].type == "message_stop"

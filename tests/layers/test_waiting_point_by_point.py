"""The points of resilience.md 2.3: what waiting is like with the SDK alone, and with layers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anthropic
import pytest

from labkit.drivers import Layer
from labkit.errors import DeadlineExceeded
from labkit.layers.attempt_timeout import AttemptTimeout
from labkit.layers.backoff import FullJitter
from labkit.layers.breaker import Breaker
from labkit.layers.bulkhead import Bulkhead
from labkit.layers.circuit import Circuit
from labkit.layers.deadline import Deadline
from labkit.layers.retry import Retry
from labkit.layers.throttle import Throttle
from labkit.sim.reply import Reply
from tests.wire import CALL, EVENTS, PING, SILENCE, START, answer, message, refusal, stream
from tests.world import Api, Script, World

ERRORS = (anthropic.APIError, DeadlineExceeded)


def ends_at(
    world: World, call: str, reply: Reply, layers: Sequence[Layer] = (), **options: Any
) -> tuple[float, int]:
    """Make a call that fails; return the second of its end and the requests it took."""
    server = Script(reply)
    with pytest.raises(ERRORS):
        world.run(lambda api: getattr(api, call)(), server, layers, **options)
    return world.clock.now(), len(server.arrivals)


DROPS = [bytes([byte]) for byte in json.dumps(message()).encode()]
DRIP = replace(stream(*DROPS, every_s=0.3), headers={"content-type": "application/json"})


# -- the SDK's own timeout ------------------------------------------------------------------------


def test_a_silent_server_holds_the_sdk_for_half_an_hour() -> None:
    """Three attempts of 600 seconds, and two short waits between them.

    On a virtual loop, where the SDK's own sleeps are virtual too.
    """
    took, requests = ends_at(World("async"), "create", SILENCE, max_retries=2)
    assert requests == 3
    assert 1800 + 0.375 + 0.75 <= took <= 1800 + 0.5 + 1.0


def test_half_a_second_is_three_seconds_with_the_sdks_retries() -> None:
    """A timeout is for one attempt, and the waits come on top."""
    took, requests = ends_at(World("async"), "create", SILENCE, max_retries=2, timeout=0.5)
    assert requests == 3
    assert 1.5 + 0.375 + 0.75 <= took <= 1.5 + 0.5 + 1.0


@pytest.mark.parametrize("call", ["create", "events"])
def test_a_deadline_is_one_number_for_all_of_it(world: World, call: str) -> None:
    """Whatever is inside of it."""
    layers = [Deadline(20), Retry(seed=1), AttemptTimeout(first_token=8)]
    took, requests = ends_at(world, call, SILENCE, layers)
    assert took <= 20
    assert requests >= 2


# -- the timeout is per read ----------------------------------------------------------------------


def test_a_drip_outlives_the_sdks_timeout(world: World) -> None:
    """Half a second is never over, because a byte comes every 0.3 seconds."""
    answered = world.run(lambda api: api.create(), Script(DRIP), timeout=0.5)
    assert answered.content[0].text == "Hello"
    assert world.clock.now() == pytest.approx(0.3 * len(DROPS))


@pytest.mark.parametrize("layer", [Deadline(0.5), AttemptTimeout(total=0.5)])
def test_a_layer_ends_a_drip(world: World, layer: Layer) -> None:
    """At its half second."""
    assert ends_at(world, "create", DRIP, [layer], timeout=0.5) == (0.5, 1)


def test_pings_keep_a_call_alive_without_a_word(world: World) -> None:
    """For as long as the server likes; nothing ever comes of it."""
    reply = stream(START, *[PING] * 600, every_s=0.4)
    events = world.run(lambda api: api.events(), Script(reply), timeout=0.5)
    assert [event.type for event in events] == ["message_start"]
    assert world.clock.now() == pytest.approx(0.4 * 601)


@pytest.mark.parametrize(
    "layer", [Deadline(6), AttemptTimeout(first_token=6), AttemptTimeout(total=6)]
)
def test_a_layer_counts_words_not_pings(world: World, layer: Layer) -> None:
    """The first token is due whatever the line is busy with."""
    reply = stream(START, *[PING] * 600, every_s=0.4)
    assert ends_at(world, "events", reply, [layer], timeout=0.5) == (6, 1)


# -- long answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("tokens", "refused"), [(21_333, False), (21_334, True)])
def test_the_sdk_refuses_plain_calls_it_expects_to_take_ten_minutes(
    world: World, tokens: int, refused: bool
) -> None:
    """It counts on 128,000 tokens an hour, and layers do not change that (claude-api.md 9.3)."""
    server = Script(answer())
    layers = [Deadline(60), AttemptTimeout(total=30)]
    if refused:
        with pytest.raises(ValueError, match="Streaming"):
            world.run(lambda api: api.create(max_tokens=tokens), server, layers)
    else:
        world.run(lambda api: api.create(max_tokens=tokens), server, layers)
    assert len(server.arrivals) == (0 if refused else 1)


def test_streams_may_be_long(world: World) -> None:
    """That is what they are for."""
    found = world.run(lambda api: api.events(max_tokens=100_000), Script(stream(*EVENTS)))
    assert found[-1].type == "message_stop"


# -- cancellation ---------------------------------------------------------------------------------


def test_a_callers_timeout_cancels_cleanly_and_gives_everything_back() -> None:
    """At 0.8 seconds, with the permits, the places and the tokens where they were."""
    world = World("async")
    circuits: list[Circuit] = []

    def circuit() -> Circuit:
        circuits.append(Circuit(minimum=1))
        return circuits[0]

    bulkhead, throttle = Bulkhead(1), Throttle(requests=1000)
    stack = [Deadline(60), Retry(), Breaker(circuit), throttle, bulkhead, AttemptTimeout(total=30)]

    async def scene(api: Api) -> None:
        for _ in range(5):
            began = world.clock.now()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.8):
                    await api.create()
            assert world.clock.now() == pytest.approx(began + 0.8)
            assert (bulkhead.places.under_way, bulkhead.places.waiting) == (0, 0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        world.clock.advance(1)
        server.replies = [answer()]
        await api.create()

    server = Script(SILENCE)
    world.run(scene, server, stack)
    assert circuits[0].state.value == "closed"
    assert len(server.arrivals) == 6


def test_a_stream_can_be_cancelled_while_it_is_read() -> None:
    """The connection is closed with it."""
    world = World("async")

    async def scene(api: Api) -> Any:
        opened = await api.result(api.client.messages.create(**CALL, stream=True))

        async def read() -> list[Any]:
            return [event async for event in opened]

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read(), 30)
        return opened.response

    reply = stream(*EVENTS[:4], *[PING] * 900, every_s=1)
    response = world.run(scene, Script(reply), [Deadline(600), AttemptTimeout(total=300)])
    assert response.is_closed
    assert world.clock.now() == pytest.approx(34, abs=1)


# -- every wait looks at the same deadline --------------------------------------------------------


def test_no_wait_of_a_layer_goes_past_the_deadline(world: World) -> None:
    """Backoff, or a server's own wish: where it would end too late, the call ends now."""
    slow = Retry(backoff=FullJitter(base=1000, cap=1000), seed=3)
    asks = refusal(429, "rate_limit_error", retry_after="50")
    for layers, reply in [
        ([Deadline(10), slow], refusal()),
        ([Deadline(10), Retry()], asks),
    ]:
        began = world.clock.now()
        server = Script(reply)
        with pytest.raises(ERRORS):
            world.run(lambda api: api.create(), server, layers)
        assert world.clock.now() - began <= 10
        assert len(server.arrivals) == 1

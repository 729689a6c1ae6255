"""Four timeouts for one attempt: to connect, to the first token, between tokens, and in all."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import anthropic
import httpx2
import pytest

from labkit.errors import DeadlineExceeded
from labkit.flow import Outcome, Request, Timeouts
from labkit.layers.attempt_timeout import AttemptTimeout
from labkit.layers.backoff import FullJitter
from labkit.layers.deadline import Deadline
from labkit.layers.retry import Retry
from labkit.sim.reply import Reply
from tests.layers import flows
from tests.wire import (
    BLOCK,
    BLOCK_END,
    CALL,
    DELTA,
    EVENTS,
    PING,
    SILENCE,
    START,
    STOP,
    WORD,
    answer,
    packed,
    stream,
)
from tests.world import Api, Passing, Script, World

TIMEOUT = anthropic.APITimeoutError
COMMENT = b": still here\n\n"


def paced(*steps: float | bytes, **headers: str) -> Reply:
    """Reply with a stream: a number is a pause in seconds, bytes are sent at once."""
    at, chunks = 0.0, []
    for step in steps:
        if isinstance(step, bytes):
            chunks.append((at, step))
        else:
            at += step
    kind = {"content-type": "text/event-stream"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(200, {**kind, **named}, tuple(chunks))


def pings(count: int, sign: bytes = PING) -> list[float | bytes]:
    """Give a sign of life every second."""
    return [step for _ in range(count) for step in (1.0, sign)]


def fails(world: World, call: str, reply: Reply, *layers: Any, **options: Any) -> float:
    """Make a call that times out; return when the caller knew."""
    with pytest.raises(TIMEOUT):
        world.run(lambda api: getattr(api, call)(**options), Script(reply), layers)
    return world.clock.now()


# -- the first token ------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["create", "events", "final"])
def test_a_silent_server_is_given_up_when_the_first_token_is_due(world: World, call: str) -> None:
    """Long before the SDK's ten minutes are over."""
    assert fails(world, call, SILENCE, AttemptTimeout(first_token=7)) == 7


@pytest.mark.parametrize("sign", [PING, COMMENT, START, BLOCK])
def test_2_3_a_sign_of_life_is_no_first_token(world: World, sign: bytes) -> None:
    """Only content counts, however busy the line is."""
    reply = paced(*pings(50, sign))
    assert fails(world, "events", reply, AttemptTimeout(first_token=7), timeout=5) == 7


def test_a_plain_answer_that_drips_must_be_whole_by_then(world: World) -> None:
    """Each byte comes in time for the SDK's timeout."""
    drops = [step for byte in b'{"type": "message"}' for step in (1.0, bytes([byte]))]
    reply = replace(paced(*drops), headers={"content-type": "application/json"})
    assert fails(world, "create", reply, AttemptTimeout(first_token=7), timeout=5) == 7


def test_after_the_first_token_its_timeout_is_over(world: World) -> None:
    """What follows may take its time."""
    reply = paced(START, BLOCK, 6.0, WORD, 50.0, BLOCK_END, DELTA, STOP)
    found = world.run(lambda api: api.final(), Script(reply), [AttemptTimeout(first_token=7)])
    assert found.stop_reason == "end_turn"
    assert world.clock.now() == 56


# -- silence --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [b"", PING, COMMENT])
@pytest.mark.parametrize("call", ["events", "final"])
def test_2_3_silence_is_measured_from_content_to_content(
    world: World, call: str, sign: bytes
) -> None:
    """A ping is silent."""
    signs = pings(3, sign) if sign else []
    reply = paced(START, BLOCK, 20.0, WORD, 4.0, WORD, *signs, 100.0, WORD)
    assert fails(world, call, reply, AttemptTimeout(silence=5)) == 29


def test_silence_is_measured_in_a_compressed_stream_too(world: World) -> None:
    """What counts is what is in it."""
    events = [START + BLOCK + WORD, WORD, *[PING] * 20]
    whole = packed(b"".join(events), 31)
    first, rest = whole[:-60], whole[-60:]
    pieces: list[float | bytes] = [1.0, first]
    for byte in rest:
        pieces += [1.0, bytes([byte])]
    reply = paced(*pieces, content_encoding="gzip")
    assert fails(world, "events", reply, AttemptTimeout(silence=5), timeout=3) < 20


def test_a_stream_that_keeps_talking_is_never_silent(world: World) -> None:
    """Whatever it takes in all."""
    words: list[float | bytes] = [4.9, WORD] * 30
    reply = paced(START, BLOCK, *words, BLOCK_END, DELTA, STOP)
    layer = AttemptTimeout(first_token=5, silence=5)
    assert world.run(lambda api: api.final(), Script(reply), [layer]).stop_reason == "end_turn"


def test_the_time_a_reader_takes_is_not_the_servers_silence(world: World) -> None:
    """Somebody thinks for a minute between two events."""

    async def scene(api: Api) -> list[str]:
        seen = []
        opened = await api.result(api.client.messages.create(**CALL, stream=True))
        if world.kind == "sync":
            for event in opened:
                seen.append(event.type)
                world.clock.advance(60)
        else:
            async for event in opened:
                seen.append(event.type)
                world.clock.advance(60)
        return seen

    reply = paced(START, BLOCK, WORD, 1.0, PING, 1.0, WORD, 1.0, BLOCK_END, DELTA, STOP)
    seen = world.run(scene, Script(reply), [AttemptTimeout(silence=5)])
    assert seen[-1] == "message_stop"


def test_a_body_without_events_is_silent_when_no_byte_comes(world: World) -> None:
    """A batch's results, for instance."""
    steps: list[float | bytes] = [b"{}\n", 4.0, b"{}\n", 40.0, b"{}\n"]
    reply = replace(paced(*steps), headers={"content-type": "application/x-jsonl"})

    async def scene(api: Api) -> None:
        with_raw = api.client.messages.with_streaming_response.create(**CALL)
        if world.kind == "sync":
            with with_raw as opened:
                list(opened.iter_bytes())
        else:
            async with with_raw as opened:
                [_ async for _ in opened.iter_bytes()]

    with pytest.raises(TIMEOUT):
        world.run(scene, Script(reply), [AttemptTimeout(silence=5)])
    assert world.clock.now() == 9


# -- in all ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["events", "final"])
def test_in_all_it_takes_no_longer_than_total(world: World, call: str) -> None:
    """Also while the caller reads."""
    reply = stream(*EVENTS[:-3], *[WORD] * 90, every_s=1)
    assert fails(world, call, reply, AttemptTimeout(total=30)) == 30


def test_the_reader_has_seen_what_came_before(world: World) -> None:
    """Then he gets the error, and the connection is closed."""
    seen: list[str] = []

    async def scene(api: Api) -> None:
        opened = await api.result(api.client.messages.create(**CALL, stream=True))
        try:
            if world.kind == "sync":
                for event in opened:
                    seen.append(event.type)
            else:
                async for event in opened:
                    seen.append(event.type)
        finally:
            assert opened.response.is_closed

    reply = stream(START, BLOCK, WORD, *[PING] * 60, every_s=1)
    with pytest.raises(TIMEOUT) as caught:
        world.run(scene, Script(reply), [AttemptTimeout(total=30)])
    assert caught.value.request.url.path == "/v1/messages"
    assert seen == ["message_start", "content_block_start", "content_block_delta"]


def test_what_has_said_all_it_has_to_say_ends_in_peace(world: World) -> None:
    """A server that holds the line after the last event has not failed."""
    reply = stream(*EVENTS, *[PING] * 60, every_s=1)
    layer = AttemptTimeout(silence=5, total=20)
    assert world.run(lambda api: api.events(), Script(reply), [layer])[-1].type == "message_stop"


# -- connecting -----------------------------------------------------------------------------------


def test_the_transport_is_told_how_long_connecting_may_take(world: World) -> None:
    """From the pool or anew; the rest stays as it is."""
    server = Script(answer())
    world.run(lambda api: api.create(), server, [AttemptTimeout(connect=2)])
    found = server.requests[0].extensions["timeout"]
    assert found == {"connect": 2, "pool": 2, "read": 600, "write": 600}


def test_a_connection_that_never_comes_is_transient(world: World) -> None:
    """As the SDK has it."""

    def server(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectTimeout("no", request=request)

    seen = Passing()
    with pytest.raises(TIMEOUT):
        world.run(lambda api: api.create(), server, [seen, AttemptTimeout(connect=2)])
    assert seen.outcomes[0].transient


# -- with others ----------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["create", "events", "final"])
def test_before_the_first_content_it_is_tried_again(world: World, call: str) -> None:
    """Retry outside, and every attempt has timeouts of its own."""
    good = answer() if call == "create" else stream(*EVENTS)
    server = Script(SILENCE, SILENCE, good)
    retry = Retry(backoff=FullJitter(base=0.0001, cap=0.0001), seed=1)
    assert world.run(
        lambda api: getattr(api, call)(), server, [retry, AttemptTimeout(first_token=7)]
    )
    assert len(server.arrivals) == 3
    assert server.arrivals[2] == pytest.approx(14, abs=0.01)


def test_after_the_first_content_it_is_not(world: World) -> None:
    """The caller has seen something; what he was shown cannot be taken back."""
    server = Script(stream(START, BLOCK, WORD, *[PING] * 60, every_s=1))
    with pytest.raises(TIMEOUT):
        world.run(lambda api: api.events(), server, [Retry(), AttemptTimeout(silence=7)])
    assert len(server.arrivals) == 1


@pytest.mark.parametrize("call", ["create", "events"])
def test_a_deadline_and_timeouts_both_hold(world: World, call: str) -> None:
    """Whichever comes first, and each with its own error."""
    layers = [Deadline(10), AttemptTimeout(first_token=7)]
    assert fails(world, call, SILENCE, *layers) == 7
    with pytest.raises(DeadlineExceeded):
        world.run(lambda api: getattr(api, call)(), Script(SILENCE), [Deadline(5), layers[1]])
    assert world.clock.now() == 12


def test_the_shorter_of_two_counts_for_each_part() -> None:
    """Wherever it stands in the stack."""
    asked = Request(timeout=Timeouts(connect=9, silence=1))
    flow = AttemptTimeout(connect=3, silence=4, total=8).flow(asked)
    sent = flows.sends(flow, flows.World()).request
    assert sent.timeout == Timeouts(connect=3, silence=1, total=8)


def test_the_layers_outside_see_a_transient_outcome(world: World) -> None:
    """Like that of a lost connection; the breaker counts it too."""
    seen = Passing()
    assert fails(world, "create", SILENCE, seen, AttemptTimeout(first_token=3)) == 3
    assert isinstance(seen.outcomes[0], Outcome)
    assert seen.outcomes[0].transient
    assert seen.outcomes[0].reason == "APITimeoutError"


def test_the_sdks_own_retries_know_the_error(world: World) -> None:
    """Whoever leaves retries to the SDK can have timeouts all the same."""
    server = Script(SILENCE, answer())
    layers = [AttemptTimeout(first_token=3)]
    assert world.run(lambda api: api.create(), server, layers, max_retries=1)


@pytest.mark.parametrize("wrong", [{}, {"total": 0}, {"silence": -1}, {"connect": math.nan}])
def test_a_timeout_is_a_positive_number_of_seconds(wrong: dict[str, float]) -> None:
    """Anything else is a mistake in the program, and so is none at all."""
    with pytest.raises(ValueError, match="positive"):
        AttemptTimeout(**wrong)

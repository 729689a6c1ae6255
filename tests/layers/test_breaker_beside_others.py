"""What experts check in a breaker, point by point, on ours and on those of other libraries.

The points are those of resilience.md 2.2; `python -m tests.layers.rivals` prints them as a table.
Where another library fails a check, the test says so: when it learns, the test is to be changed.
"""

from __future__ import annotations

import gc
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import anthropic
import httpx2
import pybreaker
import pytest

from labkit.drivers import Layer
from labkit.errors import CircuitOpen
from labkit.flow import Now, Request, Send
from labkit.layers.breaker import Breaker
from labkit.layers.circuit import Circuit, State
from labkit.layers.circuit_states import TRANSITIONS, rows
from labkit.layers.retry import Retry
from tests.layers.flows import OK, OVERLOADED
from tests.layers.flows import World as Hand
from tests.layers.rivals import BREAKERS, CHECKS, checked, table
from tests.wire import (
    BLOCK,
    CALL,
    EVENTS,
    OVERLOAD,
    RESET,
    SILENCE,
    START,
    WORD,
    answer,
    refusal,
    stream,
)
from tests.world import Api, Script, World

OTHERS = [name for name in BREAKERS if name != "labkit"]


def found(check: str, breakers: Sequence[str] = OTHERS) -> dict[str, Any]:
    """Run a check on some breakers."""
    return {name: checked(name, CHECKS[check]) for name in breakers}


def test_1_four_failures_in_five_open_ours_and_none_that_counts_in_a_row() -> None:
    """One success in between, and five libraries begin to count anew."""
    check = "refused of 500, 80 % failing"
    in_a_row = ["pybreaker", "aiobreaker", "purgatory", "hyx", "circuitbreaker"]
    assert found(check, in_a_row) == dict.fromkeys(in_a_row, 0)
    assert all(
        refused > 480 for refused in found(check, ["labkit", "interlock", "redress"]).values()
    )


def test_2_one_failure_in_a_hundred_opens_only_what_counts_without_a_rate() -> None:
    """At a hundred calls a second, five failures in a minute are health."""
    assert found("refuses at 1 % failures") == {name: name == "redress" for name in OTHERS}
    assert found("refuses at 1 % failures", ["labkit"]) == {"labkit": False}


def test_3_of_fifty_callers_one_is_a_probe() -> None:
    """Five libraries let the whole crowd through to a service that has just come back."""
    probes = {name: 1 if name in ("interlock", "redress") else 50 for name in OTHERS}
    assert found("probes of a crowd of 50") == probes
    assert found("probes of a crowd of 50", ["labkit"]) == {"labkit": 1}


@pytest.mark.parametrize(
    ("reply", "counts"),
    [
        (refusal(529), True),
        (refusal(500, "api_error"), True),
        (refusal(503, "api_error"), True),
        (RESET, True),
        (SILENCE, True),
        (stream(START, OVERLOAD), True),
        (stream(START), True),
        (stream(*EVENTS), False),
        (refusal(400, "invalid_request_error"), False),
        (refusal(401, "authentication_error"), False),
        (refusal(404, "not_found_error"), False),
        (refusal(413, "request_too_large"), False),
        (refusal(429, "rate_limit_error", retry_after="1"), False),
    ],
    ids=[
        *("overloaded", "error", "unavailable", "reset", "silence", "error in a stream"),
        *("cut stream", "answer", "bad request", "bad key", "not found", "too large", "our limit"),
    ],
)
def test_4_what_counts_is_the_services_own_trouble(world: World, reply: Any, counts: bool) -> None:
    """Through the real SDK, as a stream, whether it shows as a status, a break or an event."""
    guard = Breaker(lambda: Circuit(minimum=1))

    async def call(api: Api) -> None:
        with suppress(anthropic.APIError, httpx2.TransportError):
            await api.events(timeout=5)

    world.run(call, Script(reply), [guard])
    (circuit,) = guard.circuits.values()
    assert circuit.state is (State.OPEN if counts else State.CLOSED)


def test_4_a_slow_service_is_in_trouble_too() -> None:
    """Where somebody said what slow is; no other library here but one counts it."""
    guard = Breaker(lambda: Circuit(minimum=4, slow_after=2, slow_rate=0.5))
    for _ in range(4):
        flow = guard.flow(Request({"model": "m"}))
        assert isinstance(next(flow), Now)
        assert isinstance(flow.send(0.0), Send)
        assert isinstance(flow.send(OK), Now)
        with suppress(StopIteration):
            flow.send(3.0)
    assert guard.circuits["m", "standard"].state is State.OPEN


def test_5_callers_who_lose_patience_open_two_others_and_not_ours() -> None:
    """A cancelled call says something about the caller."""
    opened = {name: name in ("pybreaker", "purgatory") for name in OTHERS}
    assert found("opens for cancelled calls") == opened
    assert found("opens for cancelled calls", ["labkit"]) == {"labkit": False}


def test_6_a_success_from_before_the_trip_closes_all_but_two() -> None:
    """Ours knows from its permit that it is of another time."""
    closed = {name: name != "interlock" for name in OTHERS}
    assert found("a late success closes it") == closed
    early = {name: name == "circuitbreaker" for name in OTHERS}
    assert found("a late success lets one in") == early
    for check in ("a late success closes it", "a late success lets one in"):
        assert found(check, ["labkit"]) == {"labkit": False}


async def test_7_on_an_async_function_pybreaker_counts_nothing() -> None:
    """Its decorator counts that the coroutine was made; ours knows how it ended."""
    breaker = pybreaker.CircuitBreaker(fail_max=5)

    @breaker
    async def fails() -> None:
        raise ConnectionError

    for _ in range(20):
        with pytest.raises(ConnectionError):
            await fails()
    assert (breaker.current_state, breaker.fail_counter) == ("closed", 0)


def test_7_ours_counts_alike_for_both_clients(world: World) -> None:
    """Twenty failures open it, awaited or not."""
    guard = Breaker(lambda: Circuit(minimum=20))

    async def calls(api: Api) -> None:
        for _ in range(20):
            with pytest.raises(anthropic.InternalServerError):
                await api.create()
        with pytest.raises(CircuitOpen):
            await api.create()

    world.run(calls, Script(refusal()), [guard])


def test_8_a_wall_clock_that_is_set_ahead_ends_no_rest_of_ours() -> None:
    """Four libraries read it and let callers in at once."""
    fooled = {name: name in ("pybreaker", "aiobreaker", "purgatory", "hyx") for name in OTHERS}
    assert found("believes the wall clock") == fooled
    assert found("believes the wall clock", ["labkit"]) == {"labkit": False}


def test_9_outside_of_retry_it_sees_one_failure_where_there_were_four(world: World) -> None:
    """The same sick service and the same four calls, in both orders."""
    seen: dict[str, tuple[int, int]] = {}
    for order in ("inside", "outside"):
        guard, server = Breaker(lambda: Circuit(minimum=5)), Script(refusal())
        retry = Retry(attempts=4, seed=1)
        layers: list[Layer] = [retry, guard] if order == "inside" else [guard, retry]

        async def calls(api: Api) -> int:
            refused = 0
            for _ in range(4):
                try:
                    await api.create()
                except CircuitOpen:
                    refused += 1
                except anthropic.InternalServerError:
                    pass
            return refused

        seen[order] = (world.run(calls, server, layers), len(server.requests))
    assert seen == {"inside": (3, 5), "outside": (0, 16)}


def test_9_its_refusal_is_not_tried_again_and_says_when_to_come_back(world: World) -> None:
    """Retry hands it on at once."""
    guard = Breaker(lambda: Circuit(minimum=1))
    layers: list[Layer] = [Retry(attempts=4, seed=1), guard]

    async def two(api: Api) -> float | None:
        with pytest.raises(CircuitOpen):
            await api.create()
        before = world.clock.now()
        with pytest.raises(CircuitOpen) as refused:
            await api.create()
        assert world.clock.now() == before
        return refused.value.retry_after

    left = world.run(two, Script(refusal(), answer()), layers)
    assert left is not None
    assert 0 < left <= 5


def test_10_our_rests_grow_and_are_scattered_and_the_others_stay_in_step() -> None:
    """After five failed probes; as they come, with no options set."""
    for rests in found("rests, in seconds").values():
        assert max(rests) - min(rests) <= 0.5
    (ours,) = found("rests, in seconds", ["labkit"]).values()
    assert ours[-1] > 1.5 * ours[0]
    fleet = [Circuit(minimum=1, dice=random.Random(seed)) for seed in range(20)]
    for one in fleet:
        permit = one.admit(0)
        assert permit is not None
        one.record(permit, 0, failed=True)
    assert len({one.statistics(0).rest_left for one in fleet}) == 20


def test_the_table_of_all_checks_can_be_printed() -> None:
    """A heading and a line for each check, a column for each library."""
    heading, *lines = table()
    assert heading.split() == list(BREAKERS)
    assert len(lines) == len(CHECKS)
    assert all(line.startswith(check) for line, check in zip(lines, CHECKS, strict=True))


def test_the_rows_for_the_diagram_are_the_transitions() -> None:
    """Every arrow once; an operator's hand, which reaches everywhere, is one row for all."""
    drawn = rows()
    own = [
        (was.value, event, now.value)
        for (was, event), now in TRANSITIONS.items()
        if not event.startswith("an operator")
    ]
    assert [row for row in drawn if row[0] != "any"] == own
    hands = {
        (event, now.value)
        for (_, event), now in TRANSITIONS.items()
        if event.startswith("an operator")
    }
    assert {(event, now) for was, event, now in drawn if was == "any"} == hands


def test_failures_of_one_model_leave_the_breaker_closed_for_another() -> None:
    """Keyed by model and speed."""
    guard, hand = Breaker(lambda: Circuit(minimum=1)), Hand(OVERLOADED)
    hand.run(guard.flow(Request({"model": "a"})))
    assert isinstance(hand.run(guard.flow(Request({"model": "a"}))).error, CircuitOpen)
    for body in ({"model": "b"}, {"model": "a", "speed": "fast"}):
        assert hand.run(guard.flow(Request(body))).ok


@pytest.mark.parametrize(
    ("broken", "fails"),
    [
        (stream(START, BLOCK, WORD, OVERLOAD), True),
        (stream(START, BLOCK, WORD), True),
        (stream(START, BLOCK, WORD, ending="reset"), True),
        (stream(*EVENTS), False),
    ],
    ids=["error event", "no stop reason", "connection reset", "whole"],
)
def test_4_a_stream_that_breaks_after_its_first_content_counts_too(
    world: World, broken: Any, fails: bool
) -> None:
    """It looked good when it came; the circuit learns better with the next call."""
    guard = Breaker(lambda: Circuit(minimum=4, dice=random.Random(1)))

    async def calls(api: Api) -> int:
        for _ in range(4):
            with suppress(anthropic.APIError, httpx2.TransportError):
                await api.events()
        return await refusals(api)

    server = Script(broken)
    assert world.run(calls, server, [guard]) == (1 if fails else 0)


async def refusals(api: Api) -> int:
    """Make one more call and count its refusal."""
    try:
        await api.events()
    except CircuitOpen:
        return 1
    except (anthropic.APIError, httpx2.TransportError):
        return 0
    return 0


def test_4_a_stream_whose_reader_leaves_says_nothing_and_is_forgotten(world: World) -> None:
    """Neither a failure nor a leak."""
    guard = Breaker(lambda: Circuit(minimum=4))

    async def calls(api: Any) -> None:
        for _ in range(8):
            opened = await api.result(api.client.messages.create(**CALL, stream=True))
            await api.result(opened.close())
            del opened
        gc.collect()
        await api.events()

    world.run(calls, Script(stream(*EVENTS)), [guard])
    (circuit,) = guard.circuits.values()
    assert (circuit.state, circuit.statistics(0).failures) == (State.CLOSED, 0)
    assert len(guard._read_on) <= 1


def test_4_a_probe_whose_stream_breaks_opens_it_again() -> None:
    """Half-open, one good first content is not yet recovery."""
    one = Circuit(minimum=1, successes=2, dice=random.Random(1))
    permit = one.admit(0)
    assert permit is not None
    one.record(permit, 0, failed=True)
    now = one.statistics(0).rest_left
    probe = one.admit(now)
    assert probe is not None
    one.record(probe, now, failed=False)
    one.broke(probe, now + 1)
    assert one.state is State.OPEN
    one.broke(probe, now + 2)
    assert one.state is State.OPEN

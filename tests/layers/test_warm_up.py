"""A fan-out that warms up first writes its prefix once."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import pytest

from labkit.flow import Note, Now, Request, Send, Wait
from labkit.layers.warm_up import WarmUp, warm_key
from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.transport import Simulated
from tests.layers.flows import OK, OVERLOADED
from tests.prompt_caching.families import questions
from tests.scenes import Scene

COUNT = 12


def shared(count: int, **control: str) -> list[dict[str, Any]]:
    """Questions to one document, with a breakpoint behind it."""
    bodies = questions(count)
    for body in bodies:
        body["messages"][0]["content"][0]["cache_control"] = {"type": "ephemeral", **control}
    return bodies


def fan_out(
    layers: list[WarmUp], *, stream: bool = False, **api: Any
) -> tuple[SimulatedApi, float]:
    """Ask all at once; return the API, with its bill, and the seconds it took."""
    simulated = SimulatedApi(seed=2, **api)
    scene = Scene(Simulated(simulated))

    async def main() -> None:
        client: Any = scene.async_client(*layers)

        async def one(body: dict[str, Any]) -> None:
            if stream:
                async with client.messages.stream(**body) as opened:
                    await opened.until_done()
            else:
                await client.messages.create(**body)

        await asyncio.gather(*map(one, shared(COUNT)), return_exceptions=True)

    scene.run(main)
    return simulated, scene.clock.now()


def writers(api: SimulatedApi) -> int:
    """How many answers wrote the prefix."""
    return sum(line.usage.cache_creation_input_tokens > 0 for line in api.bill.lines)


@pytest.mark.parametrize("stream", [False, True])
def test_one_writes_and_the_others_read(stream: bool) -> None:
    """Without it every one of twelve pays for a write of its own."""
    cold, _ = fan_out([], stream=stream)
    warm, _ = fan_out([WarmUp()], stream=stream)
    assert (writers(cold), writers(warm)) == (COUNT, 1)
    assert warm.bill.total < cold.bill.total / 2


def test_streams_wait_for_a_first_token_only() -> None:
    """A plain answer is seen when it is complete."""
    _, plain = fan_out([WarmUp()])
    _, streamed = fan_out([WarmUp()], stream=True)
    assert streamed < plain


def test_when_the_first_fails_another_goes_first() -> None:
    """Its failure is its own; the prefix is still written once."""
    api, _ = fan_out([WarmUp()], faults=[Fault("overloaded", first=1)])
    assert len(api.bill.lines) == COUNT - 1
    assert writers(api) == 1


def test_a_first_that_is_cancelled_lets_the_next_go() -> None:
    """Whoever waits is promoted, and nobody waits for ever."""
    layer, body = WarmUp(), Request(body=shared(1)[0])
    one, two = layer.flow(body), layer.flow(body)
    assert next(one) == Now()
    assert isinstance(one.send(0.0), Send)
    assert next(two) == Now()
    assert isinstance(two.send(1.0), Note)
    waiting = two.send(None)
    assert isinstance(waiting, Wait)
    one.close()
    assert waiting.gate.is_open
    assert two.send(True) == Now()
    assert isinstance(two.send(2.0), Send)
    with pytest.raises(StopIteration):
        two.send(OK)


def test_an_entry_is_warm_for_its_lifetime_from_its_last_use() -> None:
    """Then somebody goes first again."""
    for control, lifetime in (({}, 300.0), ({"ttl": "1h"}, 3600.0)):
        layer, body = WarmUp(), Request(body=shared(1, **control)[0])
        for at in (0.0, lifetime - 1, 2 * lifetime - 2):
            flow = layer.flow(body)
            assert next(flow) == Now()
            assert isinstance(flow.send(at), Send)
            with pytest.raises(StopIteration):
                flow.send(OK)
        flow = layer.flow(body)
        next(flow)
        flow.send(3 * lifetime)  # goes first again, and fails
        with pytest.raises(StopIteration):
            flow.send(OVERLOADED)
        again, other = layer.flow(body), layer.flow(body)
        next(again)
        assert isinstance(again.send(3 * lifetime + 1), Send)
        next(other)
        assert isinstance(other.send(3 * lifetime + 1), Note)
        again.close()
        other.close()


def test_requests_without_a_breakpoint_of_their_own_do_not_wait() -> None:
    """An automatic one stands at the end, which is everybody's own."""
    (body,) = questions(1)
    assert warm_key(body) is None
    assert warm_key({**body, "cache_control": {"type": "ephemeral"}}) is None
    one, two = shared(2)
    assert warm_key(one) == warm_key(two)
    assert warm_key(one) != warm_key({**two, "model": "claude-opus-5-5"})


def test_the_sync_client_passes_as_well() -> None:
    """One call after the other never waits."""
    api = SimulatedApi(faults=[Fault("internal", first=1)])
    client: Any = Scene(Simulated(api)).client(WarmUp())
    first, *rest = shared(3)
    with pytest.raises(anthropic.APIStatusError):
        client.messages.create(**first)
    for body in rest:
        client.messages.create(**body)
    assert writers(api) == 1

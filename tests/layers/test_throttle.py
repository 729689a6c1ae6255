"""The throttle: three limits at once, turns in order, refusals in time, and what it learns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from labkit.errors import Shed
from labkit.flow import Outcome, Request
from labkit.layers.throttle import Throttle
from tests.layers.flows import OK, OVERLOADED, World, every_yield, sends
from tests.wire import answer
from tests.world import Script
from tests.world import World as Sdk

ASK = Request({"model": "claude-haiku-5-5", "prompt_tokens": 1_000})
REFUSED = Outcome(status=429, headers={"retry-after": "10"}, error_type="rate_limit_error")
LOST = Outcome(error=TimeoutError("late"), unreachable=True)


def throttle(**settings: float) -> Throttle:
    """Make one that only the setting under test can slow down."""
    wide = {"requests": 60_000, "input_tokens": 60_000_000, "output_tokens": 60_000_000}
    return Throttle(**{**wide, **settings})  # type: ignore[arg-type]


def levels(layer: Throttle) -> tuple[float, float, float]:
    """Return what is left of requests, input and output."""
    return layer.requests.level, layer.input.level, layer.output.level


@pytest.mark.parametrize(
    ("settings", "seconds"),
    [
        ({"requests": 60}, 1.0),
        ({"input_tokens": 60_000}, 1.0),
        ({"output_tokens": 6_000, "expected_output": 100}, 1.0),
    ],
    ids=lambda value: str(value),
)
def test_each_limit_makes_calls_wait(settings: dict[str, float], seconds: float) -> None:
    """Once the burst is used up, a call a second."""
    layer, world = throttle(**settings), World()
    for _ in range(30):
        world.run(layer.flow(ASK))
    gaps = [b - a for a, b in zip(world.sent_at[-5:], world.sent_at[-4:], strict=False)]
    assert gaps == [pytest.approx(seconds)] * 4


def test_a_wait_is_noted() -> None:
    """With its seconds."""
    layer, world = throttle(requests=60), World()
    for _ in range(7):
        world.run(layer.flow(ASK))
    assert world.notes == [("throttled", {"wait_s": pytest.approx(1.0)})]


def test_a_turn_after_the_deadline_is_refused_at_once_and_costs_nothing() -> None:
    """The caller hears it now, not when it is too late."""
    layer, world = throttle(requests=60), World()
    for _ in range(6):
        world.run(layer.flow(ASK))
    before = levels(layer)
    refused = world.run(layer.flow(ASK.within(0.5)))
    assert isinstance(refused.error, Shed)
    assert refused.error.retry_after == pytest.approx(1.0)
    assert levels(layer) == pytest.approx(before)
    assert world.notes == [("refused", {"by": "throttle", "wait_s": pytest.approx(1.0)})]


def test_a_turn_too_far_away_is_refused() -> None:
    """Beyond the longest wait nobody is kept."""
    layer, world = throttle(requests=60, longest_wait=2), World()
    flows = [layer.flow(ASK) for _ in range(10)]
    waits = []
    for flow in flows:
        next(flow)
        effect = flow.send(0.0)
        waits.append(getattr(effect, "attributes", {}).get("wait_s", 0.0))
    assert waits == pytest.approx([0, 0, 0, 0, 0, 0, 1, 2, 3, 3])
    assert world.sent_at == []


@pytest.mark.parametrize("busy", [0, 6], ids=["at once", "after a wait"])
def test_a_call_cut_short_before_it_is_sent_gives_everything_back(busy: int) -> None:
    """At any yield before its `Send`."""

    def play(step: int) -> bool:
        layer, world = throttle(requests=60), World()
        for _ in range(busy):
            world.run(layer.flow(ASK))
        before, sent = levels(layer), len(world.sent_at)
        flow = layer.flow(ASK)
        effect = next(flow)
        for _ in range(step):
            if type(effect).__name__ == "Send":
                break
            effect = flow.send(world.answer(effect))
        reached = type(effect).__name__ != "Send"
        flow.close()
        if reached:
            assert levels(layer) == pytest.approx(before)
            assert len(world.sent_at) == sent
        return reached

    assert every_yield(play) == (1 if busy == 0 else 3)


@pytest.mark.parametrize("outcome", [OK, OVERLOADED, LOST], ids=lambda outcome: outcome.reason)
def test_what_was_sent_is_used(outcome: Outcome) -> None:
    """The API has counted it, whatever came of it."""
    layer, world = throttle(), World(outcome)
    before = levels(layer)
    world.run(layer.flow(ASK))
    assert levels(layer) == pytest.approx((before[0] - 1, before[1] - 1_000, before[2] - 300))


def test_a_call_cut_short_on_its_way_has_used_what_it_booked() -> None:
    """A client that leaves does not take its request out of the API's count."""
    layer, world = throttle(), World()
    before = levels(layer)
    flow = layer.flow(ASK)
    sends(flow, world)
    flow.close()
    assert levels(layer) == pytest.approx((before[0] - 1, before[1] - 1_000, before[2] - 300))


@pytest.mark.parametrize(
    "outcome", [Outcome(status=429), Outcome(error=Shed("no room"))], ids=["429", "Shed"]
)
def test_what_was_refused_is_given_back(outcome: Outcome) -> None:
    """By the API, or by a layer further in: it counts for nothing."""
    layer, world = throttle(), World(outcome)
    before = levels(layer)
    world.run(layer.flow(ASK))
    assert levels(layer) == pytest.approx(before)


def test_a_429_holds_back_everybody() -> None:
    """Ten seconds, and then one after the other."""
    layer, world = throttle(requests=60), World(REFUSED)
    for _ in range(4):
        world.run(layer.flow(ASK))
    assert world.sent_at == pytest.approx([0, 11, 12, 13])


def test_the_servers_headers_are_believed() -> None:
    """Somebody else uses the same key, and there is less left than we thought."""
    header = "anthropic-ratelimit-{}-remaining"
    left = {"requests": "3", "input-tokens": "2000", "output-tokens": "1000"}
    told = Outcome(status=200, headers={header.format(k): v for k, v in left.items()})
    layer, world = throttle(), World(told)
    world.run(layer.flow(ASK))
    assert levels(layer) == (3, 2_000, 1_000)


@pytest.mark.parametrize("value", ["", "-5", "many", "1e3", "²"])
def test_a_header_that_is_no_number_changes_nothing(value: str) -> None:
    """Nor does it fail."""
    odd = Outcome(status=200, headers={"anthropic-ratelimit-requests-remaining": value})
    layer, world = throttle(), World(odd)
    world.run(layer.flow(ASK))
    assert layer.requests.level == layer.requests.burst - 1


def test_words_are_estimated_and_tools_count() -> None:
    """About two and a half characters a token."""
    bare = {"model": "m", "messages": [{"role": "user", "content": "word " * 500}]}
    small, large = throttle(), throttle()
    World().run(small.flow(Request(bare)))
    World().run(large.flow(Request({**bare, "tools": [{"name": "x" * 5_000}]})))
    used = [layer.input.burst - layer.input.level for layer in (small, large)]
    assert used[0] == pytest.approx(1_000, rel=0.05)
    assert used[1] - used[0] == pytest.approx(2_000, rel=0.05)


def test_calls_wait_for_their_turn_under_the_sdk() -> None:
    """Ten tasks at once: six go, four follow a second apart."""
    server, layer = Script(answer()), throttle(requests=60, output_tokens=60_000_000)

    async def scene(api: Any) -> None:
        await asyncio.gather(*(api.create() for _ in range(10)))

    Sdk("async").run(scene, server, [layer])
    assert server.arrivals == pytest.approx([0] * 6 + [1, 2, 3, 4])

"""Throttling and rate limits, point by point as resilience.md 2.4 lists them."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.flow import Now, Outcome, Request, Used
from labkit.layers.backoff import FullJitter
from labkit.layers.client_throttle import ClientThrottle
from labkit.layers.rejections import Rejections
from labkit.layers.retry import Retry
from labkit.layers.retry_budget import RetryBudget
from labkit.layers.throttle import Throttle
from labkit.sim.engine import Engine
from labkit.sim.faults import Fault
from labkit.sim.traffic import Task, requests, steady
from tests.layers.flows import World, sends
from tests.layers.small_limits import fleet

ASK = Request({"model": "claude-haiku-5-5", "prompt_tokens": 10_000, "max_tokens": 32_000})
WIDE: dict[str, Any] = {
    "requests": 60_000.0,
    "input_tokens": 60_000_000.0,
    "output_tokens": 60_000_000.0,
}


def told(used: Used) -> Outcome:
    """Return an answer that says what it used."""

    def meter(tell: Any) -> None:
        tell(used)

    return Outcome(status=200, meter=meter)


def taken(layer: Throttle) -> tuple[float, float, float]:
    """Return what has been taken of requests, input and output."""
    (desk,) = layer.desks.values()
    return desk.requests.taken, desk.input.taken, desk.output.taken


def test_2_4_the_chance_to_reject_at_home_is_requests_less_k_accepts() -> None:
    """Over requests plus one, never below zero, with K = 2 and a window of two minutes."""
    rejections = Rejections()
    slices = [rejections.request(0.0)[1] for _ in range(99)]
    for made_in in slices[:66]:
        rejections.reject(made_in)
    assert rejections.request(119.0)[0] == pytest.approx((99 - 2 * 33) / 100)
    assert rejections.request(121.0)[0] == 0


def test_2_4_a_request_is_counted_when_sent_not_when_it_ends() -> None:
    """Sixty calls under way are sixty requests, and no rejection yet."""
    layer, world = ClientThrottle(seed=1), World()
    under_way = [layer.flow(ASK) for _ in range(60)]
    for flow in under_way:
        sends(flow, world)
    assert layer.rejections.requests == 60
    assert layer.rejections.rejected == 0


def test_2_4_failures_other_than_rejections_are_not_rejections() -> None:
    """Through ten minutes of errors, cuts and silence every call is still sent."""
    faults = [Fault("internal", share=0.5), Fault("refused", share=0.5), Fault("reset", share=0.5)]
    traffic = requests(steady(5), until=600, mix=[Task("t", 100, 20)], seed=2)
    kept = fleet(traffic, [ClientThrottle(seed=1)], Engine(seed=1, tier=None, faults=faults))
    assert sum(not row.ok for row in kept.calls) > len(kept.calls) / 2
    assert len(kept.attempts) == len(kept.calls)


def test_2_4_three_attempts_a_call_and_ten_per_cent_a_client() -> None:
    """The book's two companions bound what an outage makes of the load."""
    traffic = requests(steady(20), until=120, mix=[Task("t", 100, 20)], seed=2)
    outage = Engine(seed=1, tier=None, faults=[Fault("overloaded")])
    budget = RetryBudget(0.1, floor=0.0)
    retry = Retry(3, backoff=FullJitter(0.1, 1.0), budget=budget, seed=1)
    kept = fleet(traffic, [retry], outage)
    assert max(row.attempts for row in kept.calls) <= 3
    assert len(kept.attempts) <= 1.1 * len(kept.calls)


def test_2_4_an_estimate_is_reserved_and_settled_with_the_usage() -> None:
    """Reserved before the request goes out, so that many at once do not overdraw."""
    layer, world = Throttle(**WIDE), World()
    flow = layer.flow(ASK)
    sends(flow, world)
    assert taken(layer) == (1, 10_000, 300)
    assert flow.send(told(Used(8_000, 50))) == Now()
    with pytest.raises(StopIteration):
        flow.send(0.5)
    assert taken(layer) == (1, 8_000, 50)


def test_2_4_reads_from_the_prompt_cache_are_not_charged_to_the_input_limit() -> None:
    """Writes are."""
    used = Used(100, 50, cache_read_tokens=9_000, cache_written_tokens=900)
    layer = Throttle(**WIDE)
    World(told(used)).run(layer.flow(ASK))
    assert taken(layer) == (1, 1_000, 50)


def test_2_4_max_tokens_is_not_reserved() -> None:
    """The answer is booked with what answers usually take, and the rest released as it ends."""
    layer = Throttle(**WIDE, expected_output=200)
    flow = layer.flow(ASK)
    sends(flow, World())
    assert taken(layer)[2] == 200
    flow.close()
    world = World(told(Used(10_000, 20)))
    world.run(layer.flow(ASK))
    assert taken(layer)[2] == 220


def test_2_4_a_throttle_can_ramp_up_slowly() -> None:
    """A twentieth of the input limit at first, half as much again with every minute of demand."""
    layer, world = Throttle(**{**WIDE, "input_tokens": 60_000_000 / 4}, ramp=1.5), World()
    for _ in range(400):
        world.run(layer.flow(ASK))
    minutes = [sum(60 * m <= at < 60 * m + 60 for at in world.sent_at) for m in range(4)]
    assert minutes[0] * 10_000 < 0.1 * 60_000_000 / 4
    assert 1.2 < minutes[2] / minutes[1] < 1.8

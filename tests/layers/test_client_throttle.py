"""Client-side throttling: the formula, what counts when, and how much load arrives."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import CircuitOpen, Shed
from labkit.flow import Outcome, Request
from labkit.layers.client_throttle import ClientThrottle
from labkit.layers.rejections import Rejections
from labkit.sim.traffic import Task, requests, steady
from tests.layers.flows import OK, OVERLOADED, World, sends
from tests.layers.small_limits import fleet, limits

ASK = Request({"model": "claude-haiku-5-5"})
LIMITED = Outcome(status=429, error_type="rate_limit_error")
BROKEN = Outcome(status=500, error_type="api_error")
LOST = Outcome(error=TimeoutError("late"), unreachable=True)
STREAMED = Outcome(status=200, error_type="overloaded_error")


@pytest.mark.parametrize(
    ("k", "accepted", "rejected", "chance"),
    [(2, 10, 0, 0), (2, 10, 10, 0), (2, 10, 20, 10 / 31), (1.1, 10, 10, 9 / 21), (2, 0, 9, 0.9)],
)
def test_the_chance_is_the_books(k: float, accepted: int, rejected: int, chance: float) -> None:
    """max(0, (requests - K * accepts) / (requests + 1))."""
    rejections = Rejections(k)
    for number in range(accepted + rejected):
        _, made_in = rejections.request(0.0)
        if number < rejected:
            rejections.reject(made_in)
    assert rejections.request(0.0)[0] == pytest.approx(chance)


@pytest.mark.parametrize("outcome", [LIMITED, OVERLOADED, STREAMED], ids=lambda o: o.reason)
def test_a_rejection_by_the_server_counts(outcome: Outcome) -> None:
    """A 429, a 529, and an overload inside a stream."""
    layer = ClientThrottle(seed=1)
    World(outcome).run(layer.flow(ASK))
    assert layer.rejections.rejected == 1


@pytest.mark.parametrize(
    "outcome",
    [OK, BROKEN, LOST, Outcome(status=400), Outcome(error=CircuitOpen("open"))],
    ids=lambda o: o.reason,
)
def test_nothing_else_does(outcome: Outcome) -> None:
    """A server that fails, or is not asked, has not said that it has too much to do."""
    layer = ClientThrottle(seed=1)
    World(outcome).run(layer.flow(ASK))
    assert (layer.rejections.requests, layer.rejections.rejected) == (1, 0)


def test_a_request_counts_when_it_is_sent() -> None:
    """Not when its answer comes, and it passes for accepted until it is rejected."""
    layer, world = ClientThrottle(seed=1), World()
    flows = [layer.flow(ASK) for _ in range(100)]
    for flow in flows:
        sends(flow, world)
    assert (layer.rejections.requests, layer.rejections.rejected) == (100, 0)
    assert layer.rejections.request(0.0)[0] == 0
    for flow in flows:
        flow.close()
    assert (layer.rejections.requests, layer.rejections.rejected) == (101, 0)


def test_a_call_rejected_at_home_says_when_to_come_back() -> None:
    """And leaves a note."""
    layer, world = ClientThrottle(pause=3.0, seed=1), World(*[OVERLOADED] * 20)
    while not world.notes:
        refused = world.run(layer.flow(ASK))
    assert isinstance(refused.error, Shed)
    assert refused.error.retry_after == 3.0
    (name, note), *_ = world.notes
    assert (name, note["by"]) == ("refused", "client_throttle")


def test_after_the_window_everything_is_forgotten() -> None:
    """Two minutes, as in the book."""
    rejections = Rejections()
    for _ in range(50):
        rejections.reject(rejections.request(0.0)[1])
    assert rejections.request(118.0)[0] > 0.9
    assert rejections.request(121.0)[0] == pytest.approx(0.0, abs=0.01)


def test_a_rejection_that_comes_after_the_window_changes_nothing() -> None:
    """Its request is forgotten too."""
    rejections = Rejections()
    _, made_in = rejections.request(0.0)
    rejections.request(500.0)
    rejections.reject(made_in)
    assert (rejections.requests, rejections.rejected) == (1, 0)


@given(st.lists(st.tuples(st.floats(0, 60), st.booleans(), st.booleans()), max_size=200))
def test_the_counts_are_those_of_the_window(steps: list[tuple[float, bool, bool]]) -> None:
    """Never negative, never more rejected than made, and the chance is one."""
    rejections, now = Rejections(window=100.0, slices=10), 0.0
    made: list[tuple[float, list[int]]] = []
    rejected = 0
    for gap, rejects, old in steps:
        now += gap
        chance, made_in = rejections.request(now)
        made.append((now, made_in))
        assert 0 <= chance < 1
        if rejects:
            rejections.reject(made[0][1] if old and rejected < len(made) - 1 else made_in)
            rejected += 1
        young = [at for at, _ in made if at // 10 > now // 10 - 10]
        assert rejections.requests == len(young)


@pytest.mark.parametrize("k", [1.1, 2.0])
def test_an_overload_of_three_times_arrives_as_k_times(k: float) -> None:
    """Whatever is wanted, the server sees about K requests for each one it can take."""
    with limits(requests=600):
        traffic = requests(steady(30), until=600, mix=[Task("t", 100, 20)], seed=2)
        rows = fleet(traffic, [ClientThrottle(k, seed=1)]).attempts
    late = [row for row in rows if row.start_s > 240]
    accepted = sum(row.status == 200 for row in late)
    assert accepted / 360 == pytest.approx(10, rel=0.02)
    assert len(late) / accepted == pytest.approx(k, rel=0.05)


def test_without_it_all_three_times_arrive() -> None:
    """The same traffic, nobody holding back."""
    with limits(requests=600):
        traffic = requests(steady(30), until=600, mix=[Task("t", 100, 20)], seed=2)
        rows = fleet(traffic, []).attempts
    late = [row for row in rows if row.start_s > 240]
    assert len(late) / sum(row.status == 200 for row in late) == pytest.approx(3, rel=0.05)


def test_a_service_that_takes_everything_loses_no_call() -> None:
    """The dice are not even thrown."""
    dice = random.Random(3)
    layer, world = ClientThrottle(seed=1), World()
    for _ in range(500):
        world.now += dice.random()
        assert world.run(layer.flow(ASK)).ok


@pytest.mark.parametrize("wrong", [{"k": 0.9}, {"window": 0.0}, {"k": float("nan")}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    """At once."""
    with pytest.raises(ValueError, match=r"at least 1|above zero"):
        ClientThrottle(**wrong)  # type: ignore[arg-type]

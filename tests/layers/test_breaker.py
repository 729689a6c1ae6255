"""The breaker: what counts as a failure, what it refuses, what it notes, what it gives back."""

from __future__ import annotations

import random

import anthropic
import pytest

from labkit.drivers import Layer
from labkit.errors import CircuitOpen, Shed
from labkit.flow import Outcome, Request
from labkit.layers.breaker import Breaker, verdict
from labkit.layers.circuit import Circuit, State
from labkit.layers.retry import Retry
from tests.layers.flows import OK, OVERLOADED, World, every_yield
from tests.wire import answer, refusal
from tests.world import Script
from tests.world import World as Sdk

ASK = Request({"model": "claude-haiku-5-5"})
LOST = Outcome(error=TimeoutError("late"), unreachable=True)


@pytest.mark.parametrize(
    ("outcome", "failed"),
    [
        (OK, False),
        (Outcome(status=400), False),
        (Outcome(status=401), False),
        (Outcome(status=404), False),
        (Outcome(status=413), False),
        (Outcome(status=408), True),
        (Outcome(status=500), True),
        (Outcome(status=503), True),
        (OVERLOADED, True),
        (LOST, True),
        (Outcome(status=200, error_type="overloaded_error"), True),
        (Outcome(status=200, error_type="truncated", unreachable=True), True),
        (Outcome(status=429), None),
        (Outcome(status=429, headers={"retry-after": "3"}), None),
        (Outcome(error=Shed("no room")), None),
    ],
    ids=lambda value: value.reason if isinstance(value, Outcome) else str(value),
)
def test_2_2_check_4_what_counts_against_the_service(outcome: Outcome, failed: bool | None) -> None:
    """Its failures; not our mistakes, not our limit, not our own refusals."""
    assert verdict(outcome) is failed


def breaker(**settings: float) -> Breaker:
    """Make one that opens after four failures."""
    return Breaker(
        lambda: Circuit(minimum=4, dice=random.Random(1), **settings)  # type: ignore[arg-type]
    )


def test_a_seed_repeats_the_rests_of_circuits_made_by_default() -> None:
    """Two breakers of one seed rest equally long, those of other seeds do not."""
    rests = []
    for seed in (1, 1, 2):
        layer, world = Breaker(seed=seed), World(*[OVERLOADED] * 20)
        for _ in range(20):
            world.run(layer.flow(ASK))
        (circuit,) = layer.circuits.values()
        rests.append(circuit.statistics(0).rest_left)
    assert rests[0] == rests[1] > 0
    assert rests[0] != rests[2]


def test_a_seed_beside_circuits_of_ones_own_is_refused() -> None:
    """It would do nothing; the message says where the dice go instead."""
    with pytest.raises(ValueError, match=r"give each of them its dice, as in .*Random\(7\)\)\.$"):
        Breaker(Circuit, seed=7)


def test_it_opens_refuses_and_says_when_to_come_back() -> None:
    """Nothing is sent while it is open."""
    layer, world = breaker(), World(*[OVERLOADED] * 4)
    for _ in range(4):
        assert world.run(layer.flow(ASK)) is OVERLOADED
    refused = world.run(layer.flow(ASK))
    assert isinstance(refused.error, CircuitOpen)
    assert refused.error.retry_after == pytest.approx(
        layer.circuits["claude-haiku-5-5", "standard"].statistics(0).rest_left
    )
    assert not refused.transient
    assert len(world.sent_at) == 4


def test_it_notes_every_change_once_and_who_refused() -> None:
    """Closed, open, half-open, closed."""
    layer, world = breaker(), World(*[OVERLOADED] * 4)
    for _ in range(5):
        world.run(layer.flow(ASK))
    world.now = 100
    for _ in range(3):
        world.run(layer.flow(ASK))
    changes = [(note["was"], note["now"]) for name, note in world.notes if name == "circuit"]
    assert changes == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]
    assert ("refused", {"by": "breaker", "state": "open"}) in world.notes


def test_a_model_in_trouble_does_not_take_the_others_along() -> None:
    """One circuit for each model and speed."""
    layer, world = breaker(), World(*[OVERLOADED] * 4)
    for _ in range(4):
        world.run(layer.flow(ASK))
    fast = Request({"model": "claude-haiku-5-5", "speed": "fast"})
    for request in (fast, Request({"model": "claude-opus-5-5"})):
        assert world.run(layer.flow(request)).ok
    assert isinstance(world.run(layer.flow(ASK)).error, CircuitOpen)


def probing(successes: int = 1) -> tuple[Breaker, Circuit, World]:
    """Return a breaker whose circuit is open and rested: the next call is a probe."""
    layer, world = breaker(successes=successes), World(*[OVERLOADED] * 4)
    for _ in range(4):
        world.run(layer.flow(ASK))
    world.now = 100
    return layer, layer.circuits["claude-haiku-5-5", "standard"], world


@pytest.mark.parametrize("outcome", [OK, OVERLOADED, Outcome(status=429)])
def test_a_probe_that_is_closed_at_any_yield_gives_its_place_back(outcome: Outcome) -> None:
    """Wherever the call is cut short, the next one gets its turn."""

    def play(step: int) -> bool:
        layer, circuit, world = probing(successes=3)
        world.outcomes = [outcome]
        reached = world.cut(layer.flow(ASK), step)
        if reached and circuit.state is State.HALF_OPEN:
            assert circuit.admit(world.now) is not None
        return reached

    assert every_yield(play) >= 3


def test_2_2_check_5_calls_cut_short_do_not_open_it() -> None:
    """Six cancelled tasks, or six hundred."""
    layer, world = breaker(), World()
    for _ in range(600):
        assert world.cut(layer.flow(ASK), 1)
    assert layer.circuits["claude-haiku-5-5", "standard"].statistics(0).calls == 0


def test_a_429_frees_the_probes_place_and_proves_nothing() -> None:
    """It concerns our limit, not their health."""
    layer, circuit, world = probing()
    world.outcomes = [Outcome(status=429)]
    world.run(layer.flow(ASK))
    assert circuit.state is State.HALF_OPEN
    assert world.run(layer.flow(ASK)).ok
    assert circuit.state.value == "closed"


def test_inside_of_retry_it_counts_every_attempt_and_its_refusal_is_not_retried(
    world: Sdk,
) -> None:
    """Two calls, four attempts, and the service is left alone (2.2, check 9)."""
    guard, server = breaker(), Script(refusal())
    layers: list[Layer] = [Retry(attempts=3, seed=1), guard]
    with pytest.raises(anthropic.InternalServerError):
        world.run(lambda api: api.create(), server, layers)
    with pytest.raises(CircuitOpen):
        world.run(lambda api: api.create(), server, layers)
    assert len(server.arrivals) == 4


def test_a_healthy_service_is_not_noticed(world: Sdk) -> None:
    """Answers pass, nothing is noted."""
    server = Script(answer())
    assert world.run(lambda api: api.create(), server, [Breaker()]).content[0].text == "Hello"
    assert world.notes == []

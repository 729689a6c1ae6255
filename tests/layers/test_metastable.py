"""How retries keep a service down after its trouble is over, and what brings it back.

The figures are those of resilience.md 3.3 at a fifth of their size: the service makes 60 answers
a second, 56 are asked for, clients wait a second and try once more, and for ten seconds nothing
works.  Shares are of what is asked for.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from labkit.layers.attempt_timeout import AttemptTimeout
from labkit.layers.backoff import Fixed, FullJitter
from labkit.layers.breaker import Breaker
from labkit.layers.circuit import Circuit
from labkit.layers.retry import Retry
from labkit.layers.retry_budget import RetryBudget
from labkit.sim.bottleneck import Bottleneck
from labkit.sim.faults import Fault
from labkit.sim.fleet import Layered
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Task, merged, requests, steady

CAPACITY, LOAD = 60.0, 56.0
OUTAGE = (20.0, 30.0)
QUESTION = [Task("question", prompt=100, output=1, spread=0)]


def patience() -> AttemptTimeout:
    """Return a client's patience: it waits a second for an attempt and then hangs up."""
    return AttemptTimeout(total=1.0)


class Goodput(NamedTuple):
    """Of what is asked for in the last half minute: the share answered, and the share sent."""

    answered: float
    sent: float


def play(
    *stack: Layered, until: float = 240.0, drops_after: float | None = None, later: float = LOAD
) -> Goodput:
    """Play the outage; from ten seconds after its end on, `later` is asked for a second."""
    changes = OUTAGE[1] + 10
    traffic = merged(
        requests(steady(LOAD), until=changes, mix=QUESTION, seed=4),
        requests(steady(later), until=until, mix=QUESTION, seed=5, start=changes),
    )
    api = Bottleneck(CAPACITY, pauses=[OUTAGE], drops_after=drops_after)
    result = simulate(traffic, stack=stack, api=api)
    late = result.calls[result.calls["start_s"] >= until - 30]
    sent = result.attempts[result.attempts["start_s"] >= until - 30]
    return Goodput(float(late["ok"].mean()), len(sent) / len(late))


def one_retry(budget: RetryBudget | None = None) -> Retry:
    """Try once more, at once."""
    return Retry(2, backoff=Fixed(0.0), budget=budget, seed=1)


def test_without_retries_the_service_recovers_by_itself() -> None:
    """The line is as long as the outage, and shrinks with what capacity is left."""
    assert play(patience()) == (1.0, 1.0)


@pytest.mark.parametrize("backoff", [Fixed(0.0), FullJitter(1, 1)], ids=["at once", "with jitter"])
def test_one_retry_makes_the_outage_permanent(backoff: Fixed | FullJitter) -> None:
    """Three minutes later nobody has an answer, and twice as much is sent.

    Jitter changes when retries are sent, and not how many.
    """
    goodput = play(Retry(2, backoff=backoff, seed=1), patience())
    assert goodput.answered == 0
    assert goodput.sent == pytest.approx(2, abs=0.1)


def test_a_budget_that_fits_the_spare_capacity_lets_it_recover() -> None:
    """1.02 times the load fits the capacity; 1.1 times does not, and only slows the end."""
    assert play(one_retry(RetryBudget(0.02, floor=0)), patience()).answered == 1
    assert play(one_retry(RetryBudget(0.10, floor=0)), patience()).answered == 0


def test_a_breaker_lets_it_recover() -> None:
    """While it is open the line is worked off."""
    breaker = Breaker(lambda: Circuit(dice=random.Random(1)))
    assert play(one_retry(), breaker, patience()).answered == 1


def test_a_service_that_drops_expired_work_recovers() -> None:
    """What nobody waits for any more costs nothing."""
    assert play(one_retry(), patience(), drops_after=1.0).answered == 1


@pytest.mark.parametrize(("share", "answered"), [(28 / 60, 1.0), (32 / 60, 0.0)])
def test_with_one_retry_the_load_must_fall_under_half_of_the_capacity(
    share: float, answered: float
) -> None:
    """(1 + r) x load < capacity: at 28 a second it recovers in the end, at 32 it never does."""
    assert play(one_retry(), patience(), until=700, later=share * CAPACITY).answered == answered


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
def test_nested_retries_multiply(layers: int) -> None:
    """Three attempts in each of five layers are 243 at the bottom."""
    assert attempts_of_a_call([Retry(3, backoff=Fixed(0.0)) for _ in range(layers)]) == 3**layers


def test_a_budget_that_all_layers_share_bounds_what_they_do_together() -> None:
    """Five layers and one budget of ten retries: eleven attempts instead of 243."""
    budget = RetryBudget(0.0, floor=1.0, window=10.0)
    stack = [Retry(3, backoff=Fixed(0.0), budget=budget) for _ in range(5)]
    assert attempts_of_a_call(stack) == 11


def attempts_of_a_call(stack: Sequence[Layered]) -> int:
    """Make one call to a service that is down and count what reaches it."""
    traffic = requests(steady(1), until=1.5, mix=QUESTION, seed=1)
    result = simulate(
        [next(traffic)], stack=stack, api={"faults": [Fault("refused")], "tier": None}
    )
    return int(result.calls["attempts"].sum())

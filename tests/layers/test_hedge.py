"""The hedge: when a second attempt starts, which outcome counts, and when there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.drivers import Layer
from labkit.errors import CircuitOpen, DeadlineExceeded
from labkit.flow import Outcome, Request
from labkit.layers.hedge import Hedge
from labkit.layers.percentile import Percentile
from labkit.layers.retry import Retry
from labkit.layers.retry_budget import RetryBudget
from labkit.sim.faults import Fault
from labkit.sim.simulate import simulate
from labkit.sim.tables import Simulation
from labkit.sim.traffic import Task, requests, steady
from tests.layers.flows import OK, OVERLOADED, every_yield
from tests.layers.racing import RacingWorld

BROKEN = Outcome(status=500, error_type="api_error")
SECOND = Outcome(status=200, headers={"from": "the second"})
ASK = Request()


def test_an_attempt_that_answers_in_time_stays_alone() -> None:
    """One bill, no note."""
    world = RacingWorld((0.9, OK))
    assert world.run(Hedge(1.0).flow(ASK)) is OK
    assert world.sent_at == [0.0]
    assert world.notes == []


def test_a_late_attempt_gets_company_and_the_first_success_counts() -> None:
    """The second starts on the dot and wins."""
    world = RacingWorld((9.0, OK), (0.5, SECOND))
    assert world.run(Hedge(1.0).flow(ASK)) is SECOND
    assert world.sent_at == [0.0, 1.0]
    assert world.now == 1.5
    assert world.notes == [("hedge", {"after_s": 1.0}), ("hedged", {"won": "second"})]


def test_the_first_may_still_win() -> None:
    """It had a head start."""
    world = RacingWorld((1.2, OK), (0.5, SECOND))
    assert world.run(Hedge(1.0).flow(ASK)) is OK
    assert world.notes[-1] == ("hedged", {"won": "first"})


def test_a_first_attempt_that_fails_waits_for_nothing() -> None:
    """Trying again is the retry's business, and now."""
    world = RacingWorld((0.2, BROKEN))
    assert world.run(Hedge(1.0).flow(ASK)) is BROKEN
    assert world.now == 0.2
    assert world.sent_at == [0.0]


@pytest.mark.parametrize(
    ("first", "second", "ends", "counts"),
    [
        ((2.0, BROKEN), (3.0, SECOND), 4.0, SECOND),
        ((5.0, OK), (0.5, BROKEN), 5.0, OK),
        ((2.0, BROKEN), (3.0, OVERLOADED), 4.0, OVERLOADED),
        ((5.0, BROKEN), (0.5, OVERLOADED), 5.0, BROKEN),
    ],
    ids=["first fails", "second fails", "both fail", "both fail, second earlier"],
)
def test_a_failure_leaves_the_other_its_chance(
    first: tuple[float, Outcome], second: tuple[float, Outcome], ends: float, counts: Outcome
) -> None:
    """Only the last failure is the end."""
    world = RacingWorld(first, second)
    assert world.run(Hedge(1.0).flow(ASK)) is counts
    assert world.now == ends


@given(
    st.floats(0, 5),
    st.floats(0, 5),
    st.floats(0, 5),
    st.sampled_from([OK, BROKEN]),
    st.sampled_from([SECOND, OVERLOADED]),
)
def test_it_is_never_later_than_without_it_and_never_worse(
    after: float, one: float, two: float, first: Outcome, second: Outcome
) -> None:
    """Whatever the attempts do."""
    world = RacingWorld((one, first), (two, second))
    outcome = world.run(Hedge(after).flow(ASK))
    if first.ok:
        assert outcome.ok
        assert world.now <= one
    assert len(world.sent_at) == (1 if one <= after else 2)


def test_the_deadline_ends_the_wait_and_no_hedge_begins_at_it() -> None:
    """Both attempts stand still."""
    world = RacingWorld((60.0, OK), (60.0, OK))
    late = world.run(Hedge(1.0).flow(ASK.within(3.0)))
    assert isinstance(late.error, DeadlineExceeded)
    assert world.now == 3.0
    world = RacingWorld((60.0, OK))
    assert isinstance(world.run(Hedge(5.0).flow(ASK.within(3.0))).error, DeadlineExceeded)
    assert world.sent_at == [0.0]


@pytest.mark.parametrize(
    "sign", [OVERLOADED, Outcome(status=429), Outcome(error=CircuitOpen("open"))]
)
def test_it_rests_for_a_while_after_a_sign_of_overload(sign: Outcome) -> None:
    """A second attempt would be more of what is too much."""
    layer, world = Hedge(1.0, quiet=10), RacingWorld((0.5, sign), *[(4.0, OK)] * 4)
    for _ in range(3):
        world.run(layer.flow(ASK))
    assert world.sent_at == [0.0, 0.5, 4.5]
    assert world.notes == [("not_hedged", {"because": "overload"})] * 2
    world.now = 10.5
    world.run(layer.flow(ASK))
    assert world.sent_at[-2:] == [10.5, 11.5]


def test_a_second_attempt_that_is_turned_away_is_a_sign_too() -> None:
    """Though the call succeeds."""
    layer, world = Hedge(1.0), RacingWorld((3.0, OK), (0.1, OVERLOADED), (3.0, OK))
    assert world.run(layer.flow(ASK)).ok
    assert world.run(layer.flow(ASK)).ok
    assert len(world.sent_at) == 3


def test_hedges_are_paid_from_the_budget_of_the_retries() -> None:
    """What one spends the other has not; the retry counts the calls, once."""
    budget = RetryBudget(0.0, floor=0.3, window=10)
    layer, world = Hedge(1.0, budget=budget), RacingWorld(*[(3.0, OK)] * 10)
    assert budget.try_spend(0.0)
    for _ in range(3):
        world.now = 0.0
        world.run(layer.flow(ASK))
    assert [note for note in world.notes if note[0] != "hedged"] == [
        ("hedge", {"after_s": 1.0}),
        ("hedge", {"after_s": 1.0}),
        ("not_hedged", {"because": "budget"}),
    ]
    assert budget.statistics(0.0).calls == 0


def test_a_budget_of_its_own_counts_its_calls() -> None:
    """A share of them may be hedged."""
    layer = Hedge(1.0, budget=0.5)
    for _ in range(4):
        RacingWorld((0.1, OK)).run(layer.flow(ASK))
    assert layer.budget.statistics(0.0).calls == 4
    assert layer.budget.ratio == 0.5


def test_cut_short_at_any_yield_it_keeps_only_what_it_has_sent() -> None:
    """A hedge that never began is not paid for."""

    def play(step: int) -> bool:
        layer, world = Hedge(1.0), RacingWorld((9.0, OK), (0.5, SECOND))
        reached = world.cut(layer.flow(ASK), step)
        granted = layer.budget.statistics(world.now).granted
        assert granted == (1 if len(world.sent_at) == 2 else 0)
        return reached

    assert every_yield(play) == 9


def test_a_percentile_is_learned_before_anything_is_hedged() -> None:
    """And then it decides; what was overtaken counts as slow."""
    layer = Hedge(Percentile(0.9, least=10), budget=1.0)
    world = RacingWorld(*[(float(n), OK) for n in range(1, 11)], (30.0, OK), (0.5, SECOND))
    for _ in range(10):
        world.run(layer.flow(ASK))
    assert len(world.sent_at) == 10
    began = world.now
    assert world.run(layer.flow(ASK)) is SECOND
    assert world.sent_at[-1] == began + 9.0
    assert isinstance(layer.after, Percentile)
    assert layer.after.value == 9.5


def test_failures_teach_no_times() -> None:
    """A quick refusal is no quick answer."""
    layer = Hedge(Percentile(0.9, least=1))
    RacingWorld((0.1, BROKEN)).run(layer.flow(ASK))
    assert isinstance(layer.after, Percentile)
    assert layer.after.value is None


@pytest.mark.parametrize("settings", [(-1.0, 10.0), (float("nan"), 10.0), (1.0, -1.0)])
def test_settings_must_make_sense(settings: tuple[float, float]) -> None:
    """Times are 0 or more."""
    with pytest.raises(ValueError, match="makes no sense"):
        Hedge(settings[0], quiet=settings[1])


STALLS = [Fault("ping_only", share=0.03 / 7, lasts=seconds) for seconds in range(8, 21, 2)]
"""Three calls in a hundred stand still for 8 to 20 seconds."""


def tail(*stack: Layer, calls: int = 4_000) -> tuple[Simulation, float, float]:
    """Run so many calls with a median first token after about 0.9 s.

    Return the simulation, its p99 in seconds and its attempts per call.
    """
    traffic = requests(
        steady(10), until=calls / 10, mix=[Task("chat", 900, 1, "balanced", spread=0)], seed=1
    )
    simulation = simulate(traffic, stack=stack, api={"tier": None, "faults": STALLS}, seed=1)
    table = simulation.calls
    p99 = float((table["end_s"] - table["start_s"]).quantile(0.99))
    return simulation, p99, len(simulation.attempts) / len(table)


def test_3_2_a_hedge_at_the_p95_cuts_the_tail_for_one_attempt_in_twenty_more() -> None:
    """Stalls seldom strike twice (resilience.md 3.2: 16.9 to 3.0 s for 5 % more)."""
    _, without, _ = tail()
    simulation, with_it, attempts = tail(Hedge(Percentile(0.95)))
    assert without > 14
    assert with_it < 3.5
    assert 1.04 < attempts < 1.065
    assert simulation.calls["ok"].all()


def test_3_2_a_hedge_at_the_p99_gains_nothing() -> None:
    """By then the stall is most of the wait."""
    _, without, _ = tail()
    _, with_it, _ = tail(Hedge(Percentile(0.99)))
    assert with_it > 0.85 * without


def test_a_loser_has_an_attempt_row_of_its_own_and_is_billed() -> None:
    """Cut short when the other wins; the two attempts of a call are numbered."""
    simulation, _, _ = tail(Hedge(2.0), calls=500)
    attempts = simulation.attempts
    losers = attempts[attempts["reason"] == "Cancelled"]
    hedged = simulation.notes[simulation.notes["note"] == "hedged"]
    assert len(losers) == len(hedged) > 5
    assert (losers["input_tokens"] > 0).all()
    for call, ended in zip(losers["call"], losers["end_s"], strict=True):
        both = attempts[attempts["call"] == call]
        assert sorted(both["attempt"]) == [1, 2]
        assert set(both["end_s"]) == {ended}
    assert set(simulation.calls["attempts"]) == {1, 2}


def test_an_overload_ends_all_hedging_in_a_fleet() -> None:
    """While one call in two is turned away no second attempts are added."""
    budget = RetryBudget(0.2)
    faults = [Fault("overloaded", start=100, end=200, share=0.5), *STALLS]
    simulation = simulate(
        requests(steady(10), until=300, mix=[Task("chat", 900, 1, "balanced")], seed=1),
        stack=[Retry(seed=1, budget=budget), Hedge(2.0, budget=budget)],
        api={"tier": None, "faults": faults},
    )
    notes = simulation.notes
    hedges = notes[notes["note"] == "hedge"]["at_s"]
    assert (hedges < 100).sum() > 10
    assert (hedges > 215).sum() > 10
    assert ((hedges > 105) & (hedges < 200)).sum() == 0

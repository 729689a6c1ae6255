"""The adaptive limit: up while all is well, down when it is not, unmoved by what says nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.flow import Outcome
from labkit.layers.adaptive import Adaptive
from labkit.layers.bulkhead import Bulkhead
from labkit.sim.engine import Engine
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Task, requests, steady
from tests.layers.crowd import Crowd
from tests.layers.flows import OK, OVERLOADED

LOST = Outcome(error=TimeoutError("late"), unreachable=True)
OUTCOMES = (OK, OVERLOADED, LOST, Outcome(status=429), Outcome(status=400), Outcome(status=500))


def answers(
    limit: Adaptive, count: int, seconds: float, *, at: float = 0.0, busy: int = 99
) -> None:
    """Let so many answers come that took so long each."""
    for number in range(count):
        limit.learn(OK, at + number, at + number + seconds, busy)


def test_a_window_of_usual_answers_raises_it_by_one() -> None:
    """Not more, and not before the window is full."""
    limit = Adaptive(20, window=10)
    answers(limit, 19, 1.0)
    assert limit.limit == 20
    answers(limit, 1, 1.0)
    assert limit.limit == 21


def test_calls_that_do_not_use_it_do_not_raise_it() -> None:
    """Nine of twenty at once prove nothing about twenty-one."""
    limit = Adaptive(20)
    answers(limit, 200, 1.0, busy=9)
    assert limit.limit == 20


@pytest.mark.parametrize("outcome", [OVERLOADED, LOST, Outcome(status=429)])
def test_being_turned_away_cuts_it_at_once(outcome: Outcome) -> None:
    """By a tenth."""
    limit = Adaptive(20)
    limit.learn(outcome, 0.0, 1.0, 20)
    assert limit.limit == 18


def test_calls_sent_before_a_cut_do_not_cut_again() -> None:
    """Twenty failures of one moment are one piece of news."""
    limit = Adaptive(20)
    for _ in range(20):
        limit.learn(OVERLOADED, 0.0, 1.0, 20)
    assert limit.limit == 18
    limit.learn(OVERLOADED, 1.5, 2.0, 20)
    assert limit.limit == 16


def test_a_window_of_slow_answers_cuts_it() -> None:
    """In proportion, but never by more than a half at once; a little slowness is tolerated."""
    limit = Adaptive(20)
    answers(limit, 20, 1.0)
    answers(limit, 21, 1.4, at=100)
    assert limit.limit == 22
    answers(limit, 22, 1.6, at=200)
    assert limit.limit == int(22 * 0.9 / 1.6)
    answers(limit, 12, 100.0, at=500)
    assert limit.limit == 6


def test_slowness_that_lasts_becomes_usual_slowly_and_speed_at_once() -> None:
    """A service that has changed for good is not starved for ever."""
    limit = Adaptive(20, most=20)
    answers(limit, 20, 1.0)
    answers(limit, 20, 2.0, at=100)
    assert limit.usual_s == pytest.approx(1.01)
    answers(limit, 20, 0.5, at=300)
    assert limit.usual_s == 0.5


@pytest.mark.parametrize("outcome", [Outcome(status=400), Outcome(status=500)])
def test_other_failures_say_nothing(outcome: Outcome) -> None:
    """They take no part in a window and cut nothing."""
    limit = Adaptive(20)
    answers(limit, 19, 1.0)
    limit.learn(outcome, 0.0, 50.0, 20)
    assert (limit.limit, limit.usual_s) == (20, None)


@given(
    st.lists(st.tuples(st.sampled_from(OUTCOMES), st.floats(0, 30), st.integers(1, 60))),
    st.integers(1, 5),
    st.integers(0, 20),
)
def test_it_stays_between_its_bounds(
    ends: list[tuple[Outcome, float, int]], least: int, room: int
) -> None:
    """Whatever comes."""
    limit = Adaptive(least, least=least, most=least + room, window=2)
    now = 0.0
    for outcome, seconds, busy in ends:
        now += 1.0
        limit.learn(outcome, now - seconds, now, busy)
        assert least <= limit.limit <= least + room


def test_cancelled_calls_do_not_skew_it() -> None:
    """A thousand callers who left, at any yield, are no news of the service."""
    limit = Adaptive(20)
    crowd = Crowd(Bulkhead(limit))
    for _ in range(1000):
        crowd.cancel(crowd.come())
        crowd.now += 1.0
    assert (limit.limit, limit.usual_s) == (20, None)


def test_a_bulkhead_with_it_lets_more_through_as_it_grows() -> None:
    """The queue moves up at once."""
    limit = Adaptive(2, window=2)
    crowd = Crowd(Bulkhead(limit))
    for _ in range(6):
        crowd.come()
    for number in (0, 1):
        crowd.now += 1.0
        crowd.finish(number)
        crowd.wake()
    assert limit.limit == 3
    assert crowd.on_the_way == [2, 3, 4]


def test_in_a_fleet_it_finds_what_the_service_bears() -> None:
    """Beyond 30 answers at once everything slows down; the limit settles near there."""
    limit = Adaptive(5, most=500)
    simulate(
        requests(steady(40), until=400, mix=[Task("chat", 300, 150, spread=0.1)], seed=1),
        stack=[Bulkhead(limit, queue=50)],
        api=Engine(seed=2, tier=None, comfortable=30),
    )
    assert 30 <= limit.limit <= 60


@pytest.mark.parametrize(
    "settings",
    [
        {"least": 0},
        {"start": 0},
        {"start": 300},
        {"tolerance": 1.0},
        {"tolerance": float("nan")},
    ],
)
def test_settings_must_make_sense(settings: dict[str, float]) -> None:
    """Bounds in order, and room for chance."""
    with pytest.raises(ValueError, match=r"not in order|above 1"):
        Adaptive(**settings)  # type: ignore[arg-type]

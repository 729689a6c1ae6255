"""The retry budget: a share of the calls, plus a floor, in every window that ends at a grant."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.layers.retry_budget import RetryBudget, RetryBudgetStatistics

lasting = settings(deadline=None)

TICK = 1 / 64
"""Times are multiples of this, so that sums of them are exact."""

steps = st.integers(0, 200).map(lambda ticks: ticks * TICK)
actions = st.lists(st.tuples(st.sampled_from(["call", "calls", "spend"]), steps), max_size=150)
ratios = st.sampled_from([0.0, 0.02, 0.1, 0.29, 0.5, 1.0, 2.0])
floors = st.sampled_from([0.0, 0.1, 0.5, 3.0])
slicings = st.sampled_from([1, 2, 7, 10, 50])


class Diary:
    """A budget, and the exact times of all calls and grants beside it."""

    def __init__(self, budget: RetryBudget) -> None:
        self.budget = budget
        self.calls: list[float] = []
        self.grants: list[float] = []

    def play(self, action: str, now: float) -> None:
        """Do one action: a call, ten calls at once, or an attempt to spend."""
        if action == "spend":
            if self.budget.try_spend(now):
                self.grants.append(now)
            return
        for _ in range(10 if action == "calls" else 1):
            self.budget.record_call(now)
            self.calls.append(now)

    def allowance(self, now: float) -> float:
        """Return what the exact window that ends at `now` allows."""
        budget = self.budget
        return budget.ratio * self.in_window(self.calls, now) + budget.floor * budget.window

    def in_window(self, times: list[float], now: float) -> int:
        """Count the times in the exact window that ends at `now`."""
        return sum(now - self.budget.window < time <= now for time in times)


def test_ten_retries_a_hundred_calls() -> None:
    """The default ratio, without the floor."""
    budget = RetryBudget(floor=0)
    for _ in range(100):
        budget.record_call(0.0)
    assert [budget.try_spend(1.0) for _ in range(12)] == [True] * 10 + [False] * 2


def test_a_quiet_client_may_still_retry() -> None:
    """Half a retry a second is five in ten seconds, without a single call."""
    budget = RetryBudget(floor=0.5)
    assert [budget.try_spend(3.0) for _ in range(6)] == [True] * 5 + [False]


def test_no_ratio_and_no_floor_means_no_retry() -> None:
    """Nothing comes from nothing."""
    budget = RetryBudget(0, floor=0)
    budget.record_call(0.0)
    assert not budget.try_spend(0.0)


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_hundred_calls_allow_exactly_the_percentage(percent: int) -> None:
    """No retry is lost to the rounding of decimal ratios."""
    budget = RetryBudget(percent / 100, floor=0)
    for _ in range(100):
        budget.record_call(0.0)
    assert sum(budget.try_spend(0.0) for _ in range(200)) == percent


def test_old_calls_allow_nothing() -> None:
    """A call counts for one window."""
    budget = RetryBudget(1.0, floor=0, window=10.0)
    budget.record_call(0.0)
    assert budget.statistics(9.7).balance == 1
    assert not budget.try_spend(10.0)


def test_old_retries_weigh_nothing() -> None:
    """A grant is forgotten a slice after its window, and the floor is free again."""
    budget = RetryBudget(0, floor=0.1, window=10.0, slices=10)
    assert budget.try_spend(0.0)
    assert not budget.try_spend(10.9)
    assert budget.try_spend(11.0)


def test_statistics_tell_the_window() -> None:
    """Calls, retries granted, retries refused, and what is left."""
    budget = RetryBudget(0.5, floor=0)
    for _ in range(6):
        budget.record_call(2.0)
    granted = [budget.try_spend(3.0) for _ in range(4)]
    assert granted == [True, True, True, False]
    budget.record_call(4.0)
    budget.record_call(4.0)
    assert budget.statistics(5.0) == RetryBudgetStatistics(calls=8, granted=3, refused=1, balance=1)
    assert budget.statistics(60.0) == RetryBudgetStatistics(0, 0, 0, 0)


def test_an_overdrawn_budget_has_nothing_left_rather_than_a_debt() -> None:
    """The call has left the window while the retry it allowed is still in it."""
    budget = RetryBudget(1.0, floor=0)
    budget.record_call(0.0)
    assert budget.try_spend(9.0)
    assert budget.statistics(12.0) == RetryBudgetStatistics(
        calls=0, granted=1, refused=0, balance=0
    )


@lasting
@given(actions, ratios, floors, slicings)
def test_grants_never_exceed_the_allowance_of_the_exact_window(
    script: list[tuple[str, float]], ratio: float, floor: float, slices: int
) -> None:
    """At every grant, the last ten seconds hold no more retries than the ratio and floor allow."""
    diary, now = Diary(RetryBudget(ratio, floor=floor, slices=slices)), 0.0
    for action, step in script:
        now += step
        before = len(diary.grants)
        diary.play(action, now)
        if len(diary.grants) > before:
            assert diary.in_window(diary.grants, now) <= diary.allowance(now) + 1e-6


@lasting
@given(actions, ratios, floors, slicings)
def test_grants_of_a_whole_life_never_exceed_the_share_of_its_calls(
    script: list[tuple[str, float]], ratio: float, floor: float, slices: int
) -> None:
    """No call is used twice: in all, ratio times calls, and the floor for each window begun."""
    diary, now = Diary(RetryBudget(ratio, floor=floor, slices=slices)), 0.0
    for action, step in script:
        now += step
        diary.play(action, now)
    allowed = ratio * len(diary.calls) + floor * (now + diary.budget.window)
    assert len(diary.grants) <= allowed + 1e-6


@lasting
@given(actions, ratios, floors)
def test_a_retry_is_refused_only_when_the_allowance_is_used(
    script: list[tuple[str, float]], ratio: float, floor: float
) -> None:
    """Within the first slice short of a window nothing is forgotten, so the count is exact."""
    diary = Diary(RetryBudget(ratio, floor=floor, window=10.0, slices=50))
    now = 0.0
    for action, step in script:
        now = min(now + step, 9.5)
        before = len(diary.grants)
        diary.play(action, now)
        if action == "spend" and len(diary.grants) == before:
            assert before + 1 > diary.allowance(now)


@lasting
@given(actions, ratios, floors, slicings)
def test_a_call_never_lowers_the_balance_and_a_grant_lowers_it_by_one(
    script: list[tuple[str, float]], ratio: float, floor: float, slices: int
) -> None:
    """A refusal leaves it where it was, at nothing."""
    budget, now = RetryBudget(ratio, floor=floor, slices=slices), 0.0
    for action, step in script:
        now += step
        before = budget.statistics(now).balance
        if action == "spend":
            granted = budget.try_spend(now)
            assert granted == (before > 0)
            assert budget.statistics(now).balance == before - granted
        else:
            budget.record_call(now)
            assert budget.statistics(now).balance >= before


@lasting
@given(actions, st.floats(0, 2), st.floats(0, 2), floors)
def test_a_larger_ratio_grants_no_fewer_retries_within_a_window(
    script: list[tuple[str, float]], one: float, other: float, floor: float
) -> None:
    """The same history of less than one window, under two ratios."""
    stingy, generous = (Diary(RetryBudget(ratio, floor=floor)) for ratio in sorted((one, other)))
    now = 0.0
    for action, step in script:
        now = min(now + step, 9.5)
        stingy.play(action, now)
        generous.play(action, now)
        assert len(stingy.grants) <= len(generous.grants)


@lasting
@given(
    st.lists(
        st.tuples(st.sampled_from(["call", "spend", "back", "back exactly"]), steps), max_size=150
    ),
    ratios,
    floors,
    slicings,
)
def test_giving_back_never_creates_more_than_was_spent(
    script: list[tuple[str, float]], ratio: float, floor: float, slices: int
) -> None:
    """However often it happens, the balance stays what the calls and the floor allow."""
    budget, now, spent = RetryBudget(ratio, floor=floor, slices=slices), 0.0, 0.0
    for action, step in script:
        now += step
        before = budget.statistics(now)
        if action == "call":
            budget.record_call(now)
        elif action == "spend":
            spent = now if budget.try_spend(now) else spent
        else:
            budget.give_back(now, spent if action == "back exactly" else None)
        after = budget.statistics(now)
        if action.startswith("back"):
            assert 0 <= before.granted - after.granted <= 1
            assert 0 <= after.balance - before.balance <= 1
        assert after.granted >= 0
        assert after.balance <= ratio * after.calls + floor * budget.window + 1e-6


def test_a_retry_given_back_can_be_spent_again() -> None:
    """A cancelled wait costs nothing."""
    budget = RetryBudget(0, floor=0.1)
    assert budget.try_spend(0.0)
    assert not budget.try_spend(1.0)
    budget.give_back(2.0)
    assert budget.try_spend(3.0)


def test_a_retry_given_back_after_its_window_frees_nobody_elses() -> None:
    """The grant of second 0 is forgotten by second 12; the one of second 11.5 was sent."""
    budget = RetryBudget(0, floor=0.1, window=10.0, slices=10)
    assert budget.try_spend(0.0)
    assert budget.try_spend(11.5)
    budget.give_back(12.0, granted_at=0.0)
    assert not budget.try_spend(12.0)
    budget.give_back(12.0, granted_at=11.5)
    assert budget.try_spend(12.0)


def test_a_retry_granted_in_the_future_is_not_taken_back() -> None:
    """A time that has not come holds no grant, not even that of the slice it will replace."""
    budget = RetryBudget(0, floor=0.1, window=10.0, slices=10)
    assert budget.try_spend(0.0)
    budget.give_back(1.0, granted_at=11.0)
    assert not budget.try_spend(1.0)


@lasting
@given(
    st.lists(
        st.tuples(st.sampled_from(["call", "calls", "spend"]), st.floats(-30, 30)), max_size=150
    ),
    ratios,
    floors,
    slicings,
)
def test_a_clock_that_steps_back_changes_nothing(
    script: list[tuple[str, float]], ratio: float, floor: float, slices: int
) -> None:
    """It decides exactly as a budget whose clock stood still instead."""
    jumping, standing = (RetryBudget(ratio, floor=floor, slices=slices) for _ in range(2))
    now, latest = 0.0, -math.inf
    for action, step in script:
        now += step
        latest = max(latest, now)
        for budget, time in ((jumping, now), (standing, latest)):
            for _ in range(10 if action == "calls" else 1):
                budget.record_call(time) if action != "spend" else budget.try_spend(time)
        assert jumping.statistics(now) == standing.statistics(latest)


@pytest.mark.parametrize("start", [-1e6, 0.0, 12345.678, 1.8e9])
def test_the_clock_may_start_anywhere(start: float) -> None:
    """Only differences of time matter."""
    budget = RetryBudget(0.5, floor=0)
    budget.record_call(start)
    budget.record_call(start + 5)
    assert budget.try_spend(start + 6)
    assert not budget.try_spend(start + 7)
    assert budget.statistics(start + 60) == RetryBudgetStatistics(0, 0, 0, 0)


def test_two_owners_share_one_budget() -> None:
    """What one retry layer spends, the other no longer has."""
    budget = RetryBudget(0, floor=0.3)
    owners = ["first", "second", "first", "second"]
    assert [budget.try_spend(1.0) for _ in owners] == [True, True, True, False]


def lines_run(work: Callable[[], object]) -> int:
    """Count the lines of Python that `work` runs: work without a stopwatch."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_the_work_does_not_grow_with_the_calls() -> None:
    """After ten calls and after twenty thousand, each method runs the same lines."""

    def work_after(calls: int) -> list[int]:
        budget = RetryBudget(0.5)
        for number in range(calls):
            budget.record_call(9.0 * (number + 1) / calls)
        return [
            lines_run(lambda: budget.record_call(9.1)),
            lines_run(lambda: budget.try_spend(9.2)),
            lines_run(lambda: budget.give_back(9.3)),
            lines_run(lambda: budget.statistics(9.4)),
            lines_run(lambda: budget.statistics(1e6)),
        ]

    assert work_after(20_000) == work_after(10)


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: RetryBudget(-0.1), "ratio must be 0 or more"),
        (lambda: RetryBudget(math.nan), "ratio must be 0 or more"),
        (lambda: RetryBudget(floor=-1), "floor must be 0 retries"),
        (lambda: RetryBudget(window=0), "window must be longer"),
        (lambda: RetryBudget(window=math.inf), "window must be longer"),
        (lambda: RetryBudget(slices=0), "at least one slice"),
    ],
)
def test_a_senseless_budget_is_refused_in_one_sentence(
    build: Callable[[], RetryBudget], complaint: str
) -> None:
    """The message names what must hold and what was given."""
    with pytest.raises(ValueError, match=complaint) as caught:
        build()
    assert str(caught.value).endswith(".")

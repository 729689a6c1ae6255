"""A token bucket: nothing goes out too fast, nothing is lost, and debts are paid off."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.layers.quota import Quota

gaps = st.floats(0, 30)
amounts = st.floats(0, 200)
rates = st.floats(1, 10_000)


def go(quota: Quota, amount: float, now: float) -> float:
    """Wait as long as one must and take; return when."""
    quota.refill(now)
    at = now + quota.wait_for(amount)
    quota.refill(at)
    quota.take(amount)
    return at


def test_what_is_there_goes_out_at_once_and_the_rest_at_the_rate() -> None:
    """Sixty a minute, five at once: the sixth waits a second, the seventh another."""
    quota, now, out = Quota(60, burst=5), 0.0, []
    for _ in range(7):
        now = go(quota, 1, now)
        out.append(now)
    assert out == pytest.approx([0, 0, 0, 0, 0, 1, 2])


def test_a_tenth_of_a_minute_may_go_at_once() -> None:
    """And at least one."""
    assert Quota(600).burst == 60
    assert Quota(5).burst == 1


def test_it_refills_up_to_the_burst_and_no_further() -> None:
    """A quiet night does not pay for a wild morning."""
    quota = Quota(60, burst=5)
    assert go(quota, 5, 0) == 0
    assert go(quota, 5, 100_000) == 100_000
    assert go(quota, 1, 100_000) == pytest.approx(100_001)


def test_what_is_larger_than_the_burst_goes_out_from_a_full_bucket_and_leaves_a_debt() -> None:
    """It would wait for ever otherwise."""
    quota = Quota(60, burst=5)
    assert go(quota, 30, 0) == 0
    assert go(quota, 1, 0) == pytest.approx(26)


def test_a_limit_nobody_knows_makes_nobody_wait() -> None:
    """However much is taken."""
    quota = Quota(inf)
    for _ in range(3):
        assert go(quota, 1e12, 0) == 0


def test_those_ahead_are_waited_for() -> None:
    """Ten of them, at one a second."""
    quota = Quota(60, burst=1)
    quota.refill(0)
    assert quota.wait_for(1, ahead=10) == pytest.approx(10)


@given(rates, st.floats(1, 500), st.lists(st.tuples(gaps, amounts), min_size=1, max_size=40))
def test_no_stretch_of_time_sees_more_than_the_burst_and_its_refill(
    rate: float, burst: float, bookings: list[tuple[float, float]]
) -> None:
    """Counted when it goes out, between any two goings-out."""
    quota, now = Quota(rate, burst=burst), 0.0
    out: list[tuple[float, float]] = []
    for gap, amount in bookings:
        now = go(quota, amount, now + gap)
        out.append((now, amount))
    for first in range(len(out)):
        for last in range(first, len(out)):
            stretch = out[last][0] - out[first][0]
            sent = sum(amount for _, amount in out[first : last + 1])
            largest = max(amount for _, amount in out[first : last + 1])
            assert sent <= max(burst, largest) + stretch * rate / 60 + 1e-6


@given(rates, st.lists(amounts, min_size=1, max_size=20))
def test_what_is_given_back_was_never_taken(rate: float, taken: list[float]) -> None:
    """All of it, in any order, leaves the bucket as it was."""
    quota = Quota(rate)
    for amount in taken:
        quota.take(amount)
    for amount in reversed(taken):
        quota.give_back(amount)
    assert quota.level == pytest.approx(quota.burst)
    assert quota.taken == pytest.approx(0, abs=1e-6)


@given(rates, st.lists(st.tuples(gaps, amounts, st.booleans(), rates), max_size=40))
def test_the_level_is_never_above_the_burst(
    rate: float, steps: list[tuple[float, float, bool, float]]
) -> None:
    """However much is given back, and whatever the limit becomes."""
    quota, now = Quota(rate), 0.0
    for gap, amount, back, other in steps:
        now += gap
        if back:
            quota.give_back(amount)
            quota.change(other)
        else:
            go(quota, amount, now)
        assert quota.level <= quota.burst


def test_the_servers_word_counts_where_it_is_worse_than_ours() -> None:
    """Less left than we thought is believed; more is not, since others may be on their way."""
    quota = Quota(60, burst=5)
    quota.lower(2)
    quota.lower(50)
    assert quota.level == 2


def test_a_pause_holds_everybody_and_lets_them_go_one_by_one() -> None:
    """Ten seconds of nothing, then the rate; the herd does not come out together."""
    quota, now, out = Quota(60, burst=5), 0.0, []
    quota.pause(10, 0)
    for _ in range(3):
        now = go(quota, 1, now)
        out.append(now)
    assert out == pytest.approx([11, 12, 13])


def test_two_pauses_at_once_are_one() -> None:
    """A hundred refusals in the same second say the same."""
    quota = Quota(60, burst=5)
    for _ in range(100):
        quota.pause(10, 0)
    assert go(quota, 1, 0) == pytest.approx(11)


def test_a_clock_that_stands_still_or_steps_back_refills_nothing() -> None:
    """Time comes from outside."""
    quota = Quota(60, burst=5)
    go(quota, 5, 100)
    quota.refill(50)
    assert quota.level == 0


@pytest.mark.parametrize(("rate", "burst"), [(0, None), (-1, None), (60, 0), (60, -1)])
def test_nonsense_is_refused(rate: float, burst: float | None) -> None:
    """Both are above zero."""
    with pytest.raises(ValueError, match="above zero"):
        Quota(rate, burst=burst)

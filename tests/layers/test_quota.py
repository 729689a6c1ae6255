"""A booking desk: nothing goes out too fast, nothing is lost, and the first come go first."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.layers.quota import Quota

gaps = st.floats(0, 30)
amounts = st.floats(0, 200)
rates = st.floats(1, 10_000)


def test_what_is_there_goes_out_at_once_and_the_rest_at_the_rate() -> None:
    """Sixty a minute, five at once: the sixth waits a second, the seventh two."""
    quota = Quota(60, burst=5)
    assert [quota.book(1, 0) for _ in range(7)] == [0, 0, 0, 0, 0, 1, 2]


def test_a_tenth_of_a_minute_may_go_at_once() -> None:
    """And at least one."""
    assert Quota(600).burst == 60
    assert Quota(5).burst == 1


def test_it_refills_up_to_the_burst_and_no_further() -> None:
    """A quiet night does not pay for a wild morning."""
    quota = Quota(60, burst=5)
    quota.book(5, 0)
    assert quota.book(5, 100_000) == 0
    assert quota.book(1, 100_000) == 1


@given(rates, st.floats(1, 500), st.lists(st.tuples(gaps, amounts), min_size=1, max_size=40))
def test_no_stretch_of_time_sees_more_than_the_burst_and_its_refill(
    rate: float, burst: float, bookings: list[tuple[float, float]]
) -> None:
    """Counted when it goes out, between any two goings-out."""
    quota, now = Quota(rate, burst=burst), 0.0
    out: list[tuple[float, float]] = []
    for gap, amount in bookings:
        now += gap
        out.append((now + quota.book(amount, now), amount))
    for first in range(len(out)):
        for last in range(first, len(out)):
            stretch = out[last][0] - out[first][0]
            sent = sum(amount for _, amount in out[first : last + 1])
            largest = max(amount for _, amount in out[first : last + 1])
            assert sent <= max(burst, largest) + largest + stretch * rate / 60 + 1e-6


@given(rates, st.lists(st.tuples(gaps, amounts), min_size=2, max_size=40))
def test_calls_go_out_in_the_order_in_which_they_booked(
    rate: float, bookings: list[tuple[float, float]]
) -> None:
    """Without a queue: each waits for the debts before it."""
    quota, now = Quota(rate), 0.0
    out = []
    for gap, amount in bookings:
        now += gap
        out.append(now + quota.book(amount, now))
    assert all(later >= earlier - 1e-6 for earlier, later in pairwise(out))


@given(rates, st.lists(amounts, min_size=1, max_size=20))
def test_what_is_given_back_was_never_taken(rate: float, taken: list[float]) -> None:
    """All of it, in any order, leaves the desk as it was."""
    quota = Quota(rate)
    for amount in taken:
        quota.book(amount, 0)
    for amount in reversed(taken):
        quota.give_back(amount)
    assert quota.level == pytest.approx(quota.burst)


@given(rates, st.lists(st.tuples(gaps, amounts, st.booleans()), max_size=40))
def test_the_level_is_never_above_the_burst(
    rate: float, steps: list[tuple[float, float, bool]]
) -> None:
    """However much is given back."""
    quota, now = Quota(rate), 0.0
    for gap, amount, back in steps:
        now += gap
        if back:
            quota.give_back(amount)
        else:
            quota.book(amount, now)
        assert quota.level <= quota.burst


def test_the_servers_word_counts_where_it_is_worse_than_ours() -> None:
    """Less left than we thought is believed; more is not, since others may be on their way."""
    quota = Quota(60, burst=5)
    quota.learn(2, 0)
    assert quota.level == 2
    quota.learn(50, 0)
    assert quota.level == 2


def test_a_pause_holds_everybody_and_lets_them_go_one_by_one() -> None:
    """Ten seconds of nothing, then the rate; the herd does not come out together."""
    quota = Quota(60, burst=5)
    quota.pause(10, 0)
    assert [quota.book(1, 0) for _ in range(3)] == [11, 12, 13]


def test_two_pauses_at_once_are_one() -> None:
    """A hundred refusals in the same second say the same."""
    quota = Quota(60, burst=5)
    for _ in range(100):
        quota.pause(10, 0)
    assert quota.book(1, 0) == 11


def test_a_clock_that_stands_still_or_steps_back_refills_nothing() -> None:
    """Time comes from outside."""
    quota = Quota(60, burst=5)
    quota.book(5, 100)
    assert quota.book(1, 50) == 1


@pytest.mark.parametrize(("rate", "burst"), [(0, None), (-1, None), (60, 0), (60, -1)])
def test_nonsense_is_refused(rate: float, burst: float | None) -> None:
    """Both are above zero."""
    with pytest.raises(ValueError, match="above zero"):
        Quota(rate, burst=burst)

"""A booking desk: never over a limit, everything settled or given back, turns that come."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.flow import Used
from labkit.layers.booking import Booking, Desk
from labkit.layers.estimate import Estimate
from labkit.layers.line import Amounts

LIMITS = Amounts(600, 60_000, 12_000)


def desk(limits: Amounts = LIMITS, output: float = 50.0) -> Desk:
    """Make one."""
    return Desk(limits, Estimate(output))


def go(at: Desk, booking: Booking, now: float) -> float:
    """Wait for a turn, alone, and return when it came."""
    while wait := at.turn(booking, now):
        now += wait
    return now


@pytest.mark.parametrize(
    ("limits", "kind"),
    [((60, 1e9, 1e9), "requests"), ((1e9, 6_000, 1e9), "input"), ((1e9, 1e9, 3_000), "output")],
)
def test_each_limit_alone_sets_the_pace(limits: tuple[float, float, float], kind: str) -> None:
    """A call a second, of a hundred tokens in and fifty out, once the burst is used up."""
    at, now, turns = desk(Amounts(*limits)), 0.0, []
    for _ in range(20):
        now = go(at, at.book(100), now)
        turns.append(now)
    assert turns[-1] - turns[-6] == pytest.approx(5), kind


def test_an_answer_settles_what_was_booked() -> None:
    """What was too much goes back, what was too little is taken on top."""
    at = desk()
    booking = at.book(1_000)
    assert at.turn(booking, 0.0) == 0
    at.settle(booking, Used(400, 80))
    assert (at.requests.taken, at.input.taken, at.output.taken) == (1, 400, 80)


def test_reads_from_the_prompt_cache_are_free_and_writes_are_not() -> None:
    """Neither of the input limit nor of the next guess."""
    at = desk()
    booking = at.book(1_000)
    at.turn(booking, 0.0)
    at.settle(booking, Used(50, 80, cache_read_tokens=900, cache_written_tokens=50))
    assert at.input.taken == 100
    assert at.book(2_000).prompt == pytest.approx(200)


def test_a_booking_is_settled_only_once() -> None:
    """Whether by an answer or by giving it back, in either order."""
    at = desk()
    booking = at.book(1_000)
    at.turn(booking, 0.0)
    at.settle(booking, Used(400, 80))
    at.settle(booking, Used(400, 80))
    at.give_back(booking)
    assert (at.requests.taken, at.input.taken, at.output.taken) == (1, 400, 80)


def test_an_error_answer_has_used_no_output() -> None:
    """But it was a request."""
    at = desk()
    booking = at.book(1_000)
    at.turn(booking, 0.0)
    at.give_back(booking, answer_only=True)
    assert (at.requests.taken, at.input.taken, at.output.taken) == (1, 1_000, 0)


def test_a_small_call_does_not_push_past_a_large_one_that_waits() -> None:
    """It goes when there is enough for both."""
    at = desk(Amounts(600_000, 60_000, 1e9))
    go(at, at.book(6_000), 0.0)
    large, small = at.book(3_000), at.book(100)
    assert at.turn(large, 0.0) == pytest.approx(3.0)
    assert at.turn(small, 0.0) == pytest.approx(3.1)
    assert at.turn(small, 3.05) == pytest.approx(0.05)
    assert at.turn(large, 3.05) == 0


def test_a_turn_nobody_takes_is_not_lost() -> None:
    """Whoever looks while those ahead are still asleep goes, once there is enough for all."""
    at = desk(Amounts(60, 1e9, 1e9))
    for _ in range(6):
        go(at, at.book(1), 0.0)
    first, second = at.book(1), at.book(1)
    at.turn(first, 0.0)
    at.turn(second, 0.0)
    assert at.turn(second, 2.0) == 0
    assert at.turn(first, 2.0) == 0


def test_a_turn_given_up_comes_to_those_behind() -> None:
    """At once."""
    at = desk(Amounts(60, 1e9, 1e9))
    for _ in range(6):
        go(at, at.book(1), 0.0)
    crowd = [at.book(1) for _ in range(10)]
    last = at.book(1)
    for booking in crowd:
        at.turn(booking, 0.0)
    assert at.turn(last, 0.0) == pytest.approx(11)
    for booking in crowd:
        at.abandon(booking)
    assert at.turn(last, 0.0) == pytest.approx(1)


calls = st.lists(
    st.tuples(
        st.floats(0, 3),  # seconds since the last one
        st.floats(1, 4_000),  # tokens of the prompt, guessed
        st.floats(0, 2),  # real tokens for each one guessed
        st.integers(0, 400),  # tokens of the answer
        st.floats(0.1, 20),  # seconds it takes
        st.sampled_from(["answer", "refused", "lost", "gives up", "error"]),
    ),
    min_size=1,
    max_size=40,
)


@given(calls, st.integers(0, 2**32))
def test_what_is_booked_is_settled_or_given_back(
    story: list[tuple[float, float, float, int, float, str]], seed: int
) -> None:
    """When all is over, exactly what was really used is taken, and nobody is left in line."""
    at, now, dice = desk(), 0.0, random.Random(seed)
    expected = [0.0, 0.0, 0.0]
    for gap, guess, share, output, took, ending in story:
        now += gap
        booking = at.book(guess)
        booking.tenant = dice.choice("ab")
        wait = at.turn(booking, now)
        if wait and ending == "gives up":
            at.abandon(booking)
            continue
        now = (go(at, booking, now + wait) if wait else now) + took
        if ending == "refused":
            at.give_back(booking)
            continue
        expected[0] += 1
        if ending == "answer":
            at.settle(booking, Used(int(guess * share), output))
            expected[1] += int(guess * share)
            expected[2] += output
        else:
            expected[1] += booking.prompt
            expected[2] += 0.0 if ending == "error" else booking.answer
            if ending == "error":
                at.give_back(booking, answer_only=True)
    assert len(at.line) == 0
    taken = (at.requests.taken, at.input.taken, at.output.taken)
    assert taken == pytest.approx(expected, abs=1e-3)


@given(st.lists(st.tuples(st.floats(0, 2), st.floats(1, 3_000)), min_size=1, max_size=50))
def test_no_stretch_of_time_sees_more_than_burst_and_refill_of_any_limit(
    arrivals: list[tuple[float, float]],
) -> None:
    """With many waiting at once, each looking again when it was told to."""
    at, now = desk(), 0.0
    due: list[tuple[float, int, Booking]] = []
    for number, (gap, guess) in enumerate(arrivals):
        now += gap
        due.append((now, number, at.book(guess)))
        due[-1][2].tenant = "ab"[number % 2]
    out: list[tuple[float, Amounts]] = []
    while due:
        due.sort(key=lambda entry: entry[:2])
        when, number, booking = due.pop(0)
        wait = at.turn(booking, when)
        if wait:
            due.append((when + wait, number, booking))
        else:
            out.append((when, Amounts(1, booking.prompt, booking.answer)))
    for column, quota in enumerate([at.requests, at.input, at.output]):
        largest = max(amounts[column] for _, amounts in out)
        for first in range(len(out)):
            for last in range(first, len(out)):
                stretch = out[last][0] - out[first][0]
                sent = sum(amounts[column] for _, amounts in out[first : last + 1])
                assert sent <= max(quota.burst, largest) + stretch * quota.per_second + 1e-3

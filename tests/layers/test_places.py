"""Places and their queue: who waits how long, and what a limit that changes does."""

from __future__ import annotations

import pytest

from labkit.errors import CircuitOpen
from labkit.flow import Outcome
from labkit.layers.places import Fixed, Place, Places
from tests.layers.flows import OK, OVERLOADED


def full(limit: int, *, waiting: int = 0) -> tuple[Places, list[Place]]:
    """Return places that are all taken, with so many calls in the queue."""
    places = Places(Fixed(limit))
    return places, [places.come() for _ in range(limit + waiting)]


def test_a_place_given_back_goes_to_who_has_waited_longest() -> None:
    """Whoever leaves the queue is passed over."""
    places, (one, two, three, four) = full(1, waiting=3)
    places.leave(two)
    places.leave(one)
    assert three.granted.is_open
    assert not four.granted.is_open
    assert not two.granted.is_open


def test_giving_back_twice_gives_back_once() -> None:
    """A call that ended leaves again in its `finally`."""
    places, (one, *_) = full(1, waiting=2)
    places.ended(one, OK, 0.0, 1.0)
    places.leave(one)
    assert (places.under_way, places.waiting) == (1, 1)


def test_a_newcomer_does_not_overtake_the_queue() -> None:
    """Not even where a place is free for a moment."""
    limit = Fixed(1)
    places = Places(limit)
    places.come()
    waits = places.come()
    limit.limit = 2
    assert places.is_full
    newcomer = places.come()
    assert waits.granted.is_open
    assert not newcomer.granted.is_open


def test_a_limit_that_falls_takes_no_place_away() -> None:
    """Fewer are handed out until it holds again."""
    limit = Fixed(3)
    places = Places(limit)
    first, second, third = [places.come() for _ in range(3)]
    limit.limit = 1
    waits = places.come()
    places.leave(first)
    places.leave(second)
    assert not waits.granted.is_open
    places.leave(third)
    assert waits.granted.is_open


@pytest.mark.parametrize(
    ("waiting", "seconds"), [(0, 2.0), (1, 4.0), (4, 10.0)], ids=lambda value: str(value)
)
def test_the_expected_wait_follows_from_the_mean_stay(waiting: int, seconds: float) -> None:
    """Four places, eight seconds each: one comes free every two."""
    places, taken = full(4)
    places.ended(taken[0], OK, 0.0, 8.0)
    for _ in range(1 + waiting):
        places.come()
    assert places.expected_wait() == pytest.approx(seconds)


def test_nobody_knows_the_wait_before_a_call_has_ended_and_with_room_there_is_none() -> None:
    """An estimate from nothing would refuse calls for no reason."""
    places, taken = full(2)
    assert places.expected_wait() is None
    places.leave(taken[0])
    assert places.expected_wait() == 0.0


def test_a_refusal_of_ours_says_nothing_about_the_stay() -> None:
    """It takes no time, and many of them would promise a place at once."""
    places, taken = full(1)
    places.ended(taken[0], OK, 0.0, 8.0)
    for outcome in (Outcome(error=CircuitOpen("open")), OVERLOADED):
        place = places.come()
        places.ended(place, outcome, 8.0, 8.0)
    places.come()
    assert places.expected_wait() == pytest.approx(7.2)


def test_no_place_at_all_is_no_bulkhead() -> None:
    """Nothing would ever be sent."""
    with pytest.raises(ValueError, match="at least one place"):
        Fixed(0)

"""Places for so many calls at once, and a queue in order of arrival for those that find none.

A pure object: it is told `now` in seconds on any clock, and whoever shares it holds the lock.
Leaving is one act, whatever a call holds by then: a place goes to the head of the queue, a place
in the queue just disappears.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from labkit.flow import Gate, Outcome

__all__ = ["Fixed", "Limit", "Place", "Places"]

MEMORY = 0.1
"""Share of each new stay in the mean stay: the last two dozen or so decide."""


class Limit(Protocol):
    """How many calls may be under way at once, learned from how they end."""

    @property
    def limit(self) -> int:
        """At least 1."""
        ...

    def learn(self, outcome: Outcome, began: float, now: float, under_way: int) -> None:
        """Take note of a call that ended now, one of `under_way`; never of a cancelled one."""
        ...


class Fixed:
    """A limit that stays as it is.  Raises ValueError unless it is at least 1."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"A bulkhead needs at least one place, not {limit}.")
        self.limit = limit

    def learn(self, outcome: Outcome, began: float, now: float, under_way: int) -> None:
        """Learn nothing."""


class Place:
    """One call's place, its own from when `granted` opens."""

    __slots__ = ("granted",)

    def __init__(self) -> None:
        self.granted = Gate()


class Places:
    """Hands out places, first come first served, to at most `limit.limit` calls at once.

    `waiting` counts the queue and `under_way` the places taken.  A limit that falls takes no
    place away: fewer are handed out until it holds again.
    """

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._queue: OrderedDict[Place, None] = OrderedDict()
        self._taken: set[Place] = set()
        self._mean_stay: float | None = None

    @property
    def waiting(self) -> int:
        """How many calls wait for a place."""
        return len(self._queue)

    @property
    def under_way(self) -> int:
        """How many calls have a place."""
        return len(self._taken)

    @property
    def is_full(self) -> bool:
        """Whether a newcomer would have to wait; those in the queue come first."""
        return bool(self._queue) or len(self._taken) >= self.limit.limit

    def come(self) -> Place:
        """Take a place, or stand in the queue for one."""
        place = Place()
        self._queue[place] = None
        self._hand_out()
        return place

    def leave(self, place: Place) -> None:
        """Give back what one has: a place, one in the queue, or nothing any more."""
        self._queue.pop(place, None)
        self._taken.discard(place)
        self._hand_out()

    def ended(self, place: Place, outcome: Outcome, began: float, now: float) -> None:
        """Learn from a call that ended by itself, and give its place back.

        A refusal of ours further in teaches nothing: nothing was sent.
        """
        if outcome.status is not None or outcome.unreachable:
            self.limit.learn(outcome, began, now, len(self._taken))
            stay, mean = now - began, self._mean_stay
            self._mean_stay = stay if mean is None else mean + MEMORY * (stay - mean)
        self.leave(place)

    def expected_wait(self) -> float | None:
        """Return the seconds a newcomer would wait on average, None before any call has ended.

        Of `limit` calls with a mean stay, one ends every stay / limit seconds.
        """
        if not self.is_full:
            return 0.0
        if self._mean_stay is None:
            return None
        ahead = len(self._queue) + len(self._taken) - self.limit.limit + 1
        return ahead * self._mean_stay / self.limit.limit

    def _hand_out(self) -> None:
        while self._queue and len(self._taken) < self.limit.limit:
            place, _ = self._queue.popitem(last=False)
            self._taken.add(place)
            place.granted.open()

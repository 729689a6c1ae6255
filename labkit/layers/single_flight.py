"""Single flight: of identical calls at once one is sent, and the others wait for what it brings.

A leader that is cancelled brings nothing; then the next of those who wait leads.  A flight has its
own deadline, after which nobody waits for it any more.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from labkit.flow import Gate, Outcome
from labkit.layers.cached import Cached

__all__ = ["Brought", "Flight", "Flights", "Unshared"]


class Unshared(Enum):
    """Flights that bring nothing to share."""

    ABANDONED = "its leader was cancelled or gave up: the next one leads"
    PRIVATE = "its answer is its leader's alone: everybody asks for himself"


Brought: TypeAlias = Cached | Outcome | Unshared
"""A cached answer, a failure of the service, or nothing to share."""


class Flight:
    """One call on its way for several: `landed` opens when `brought` is known."""

    __slots__ = ("brought", "landed", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.landed = Gate()
        self.brought: Brought = Unshared.ABANDONED


class Flights:
    """The flights that are under way, by key."""

    def __init__(self) -> None:
        self._under_way: dict[str, Flight] = {}

    def __len__(self) -> int:
        return len(self._under_way)

    def find(self, name: str, now: float) -> Flight | None:
        """Return the flight to wait for, None if there is none or its time is over."""
        flight = self._under_way.get(name)
        return None if flight is None or flight.until <= now else flight

    def begin(self, name: str, until: float) -> Flight:
        """Begin a flight that others wait for until then."""
        flight = self._under_way[name] = Flight(until)
        return flight

    def land(self, name: str, flight: Flight, brought: Brought) -> None:
        """End a flight and wake those who wait; any thread may do that."""
        flight.brought = brought
        if self._under_way.get(name) is flight:
            self._under_way.pop(name, None)
        flight.landed.open()

"""A call of a fleet under way, a stack of flows, and the sink that is told what comes of it."""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from labkit.flow import Do, Flow, Note, Outcome, Request
from labkit.sim.fates import Fate
from labkit.sim.traffic import Arrival

__all__ = ["LATER", "Call", "Layered", "Sink", "Steps", "at_once"]

LATER = object()
"""Stands for what a flow will be sent once it need not wait any more."""


class Layered(Protocol):
    """Anything with a flow: the layers of `labkit.layers`."""

    def flow(self, request: Request) -> Flow:
        """Return the pattern as a generator."""
        ...


class Steps(Protocol):
    """What a stack consists of: flows, and what behaves like one."""

    def send(self, value: Any, /) -> Any:
        """Go on, and return what is asked for next."""
        ...

    def close(self) -> None:
        """Give up."""
        ...


class Call(Struct, eq=False):
    """A call under way: its flows, outermost first, and how many attempts it has made.

    `model` and `sent_at` are those of the latest attempt.
    """

    number: int
    arrival: Arrival
    flows: list[Steps]
    attempts: int = 0
    model: str = ""
    sent_at: float = 0.0
    turn: int = 0

    def next_attempt(self) -> int:
        """Return the number that the attempt has which begins now."""
        return self.attempts + 1

    def __lt__(self, other: Call) -> bool:
        """Tell simultaneous events of one call apart, by the turns of its branches."""
        return self.turn < other.turn


class Sink(Protocol):
    """Where it goes what comes of calls: see `labkit.sim.rows`."""

    def call(self, call: Call, now: float, outcome: Outcome) -> None:
        """Take a call that ends now."""
        ...

    def attempt(self, call: Call, now: float, answer: Fate) -> None:
        """Take an attempt of a call that ends now."""
        ...

    def note(self, call: Call, now: float, note: Note) -> None:
        """Take what a layer notes now."""
        ...


def at_once(effect: object) -> object:
    """Return what the flow is sent for work, done here and now, or LATER where it stays."""
    if type(effect) is Do:
        return effect.work()
    if effect is LATER:
        return LATER
    raise TypeError(f"A flow yielded {effect!r}, not an effect.")

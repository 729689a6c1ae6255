"""A circuit breaker's memory and rules, as a table: closed, open, half-open.

It trips on a failure *rate* over a sliding window with a minimum of calls, never on a count:
counts in a row miss partial outages, and counts in a window trip a busy client at one failure
in a hundred (resilience.md 2.2, checks 1 and 2).  It has no clock and no dice of its own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["TRANSITIONS", "Circuit", "Permit", "State", "Statistics"]


class State(Enum):
    """Where a circuit stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    FORCED_OPEN = "forced open"
    FORCED_CLOSED = "forced closed"


TRANSITIONS: Mapping[tuple[State, str], State] = MappingProxyType(
    {
        (State.CLOSED, "too many calls failed"): State.OPEN,
        (State.CLOSED, "too many calls were slow"): State.OPEN,
        (State.OPEN, "the rest is over"): State.HALF_OPEN,
        (State.HALF_OPEN, "a probe failed"): State.OPEN,
        (State.HALF_OPEN, "a probe was slow"): State.OPEN,
        (State.HALF_OPEN, "a probe never came back"): State.OPEN,
        (State.HALF_OPEN, "enough probes succeeded"): State.CLOSED,
        **{(state, "an operator opened it"): State.FORCED_OPEN for state in State},
        **{(state, "an operator closed it"): State.FORCED_CLOSED for state in State},
        **{(state, "an operator let go"): State.CLOSED for state in State},
    }
)
"""(state, event) to the next state; every change a circuit can make is here."""


class Permit(NamedTuple):
    """Leave to make one call; `generation` tells a late result from a current one."""

    generation: int
    probe: bool
    granted: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a circuit has seen in its window, and where it stands."""

    state: State
    calls: int
    failures: int
    slow: int
    rest_left: float


class Circuit:
    """One circuit.

    It opens when at least `minimum` calls of the last `window` seconds ended and `failure_rate`
    of them failed (or `slow_rate` took longer than `slow_after` seconds).  It then rests
    `rest` seconds, doubled with each failed probe up to `longest_rest`, a random part of the
    upper half of that, so that a fleet does not probe in step.  Half-open, `probes` calls at a
    time are let through; `successes` good ones in a row close it.  A probe that has not come
    back within `probe_patience` seconds counts as failed.  Raises ValueError for nonsense.
    """

    def __init__(
        self,
        *,
        failure_rate: float = 0.5,
        slow_rate: float = 0.9,
        slow_after: float | None = None,
        minimum: int = 20,
        window: float = 30.0,
        slices: int = 10,
        rest: float = 5.0,
        longest_rest: float = 120.0,
        probes: int = 1,
        successes: int = 2,
        probe_patience: float = 60.0,
        dice: random.Random | None = None,
    ) -> None:
        rates_fit = 0 < failure_rate <= 1 and 0 < slow_rate <= 1
        counts_fit = min(minimum, slices, probes, successes) >= 1
        times_fit = min(window, rest, probe_patience) > 0 and longest_rest >= rest
        if not (rates_fit and counts_fit and times_fit):
            raise ValueError("Rates lie in (0, 1], counts are 1 or more, times above 0 seconds.")
        self.failure_rate, self.slow_rate, self.slow_after = failure_rate, slow_rate, slow_after
        self.minimum, self.window, self.slices = minimum, window, slices
        self.rest, self.longest_rest = rest, longest_rest
        self.probes, self.successes, self.probe_patience = probes, successes, probe_patience
        self.state = State.CLOSED
        self.generation = 0
        self._dice = dice if dice is not None else random.Random()
        self._counts: dict[int, list[int]] = {}
        self._reopens_at = 0.0
        self._trips = 0
        self._good_probes = 0
        self._probing: list[Permit] = []

    def admit(self, now: float) -> Permit | None:
        """Return a permit for one call, or None because the circuit is open."""
        if self.state is State.CLOSED:
            return Permit(self.generation, False, now)
        self._notice_time(now)
        if self.state in (State.OPEN, State.FORCED_OPEN):
            return None
        probe = self.state is State.HALF_OPEN
        if probe and len(self._probing) >= self.probes:
            return None
        permit = Permit(self.generation, probe, now)
        if probe:
            self._probing.append(permit)
        return permit

    def record(self, permit: Permit, now: float, *, failed: bool) -> None:
        """Enter how a permitted call ended; a result from before the last change is ignored."""
        if permit.generation != self.generation:
            return
        slow = self.slow_after is not None and now - permit.granted > self.slow_after
        if permit.probe:
            self._probed(permit, now, failed, slow)
            return
        counts = self._counts.setdefault(int(now * self.slices / self.window), [0, 0, 0])
        counts[0] += 1
        counts[1] += failed
        counts[2] += slow
        if self.state is State.CLOSED and (failed or slow):
            self._judge(now)

    def cancel(self, permit: Permit) -> None:
        """Take a permit back whose call says nothing about the service: cancelled, or a 429."""
        if permit in self._probing:
            self._probing.remove(permit)

    def force(self, state: State, now: float) -> None:
        """Force it open or closed, or let go again with CLOSED (an operator's hand)."""
        words = {State.FORCED_OPEN: "opened it", State.FORCED_CLOSED: "closed it"}
        self._change(f"an operator {words.get(state, 'let go')}", now)

    def statistics(self, now: float) -> Statistics:
        """Return what the window holds at `now`."""
        self._notice_time(now)
        calls, failures, slow = self._totals(now)
        left = self._reopens_at - now if self.state is State.OPEN else 0.0
        return Statistics(self.state, calls, failures, slow, max(0.0, left))

    def _judge(self, now: float) -> None:
        calls, failures, slow = self._totals(now)
        if calls < self.minimum:
            return
        if failures >= self.failure_rate * calls:
            self._change("too many calls failed", now)
        elif slow >= self.slow_rate * calls and self.slow_after is not None:
            self._change("too many calls were slow", now)

    def _totals(self, now: float) -> tuple[int, int, int]:
        newest = int(now * self.slices / self.window)
        for old in [place for place in self._counts if place <= newest - self.slices]:
            del self._counts[old]
        kept = self._counts.values()
        return sum(c[0] for c in kept), sum(c[1] for c in kept), sum(c[2] for c in kept)

    def _probed(self, permit: Permit, now: float, failed: bool, slow: bool) -> None:
        self.cancel(permit)
        if failed or slow:
            self._change("a probe failed" if failed else "a probe was slow", now)
            return
        self._good_probes += 1
        if self._good_probes >= self.successes:
            self._change("enough probes succeeded", now)

    def _notice_time(self, now: float) -> None:
        if self.state is State.OPEN and now >= self._reopens_at:
            self._change("the rest is over", now)
        overdue = any(now - permit.granted > self.probe_patience for permit in self._probing)
        if self.state is State.HALF_OPEN and overdue:
            self._change("a probe never came back", now)

    def _change(self, event: str, now: float) -> None:
        self.state = TRANSITIONS[self.state, event]
        self.generation += 1
        self._good_probes = 0
        self._probing.clear()
        if self.state is State.OPEN:
            ceiling = min(self.longest_rest, self.rest * 2.0 ** min(self._trips, 60))
            self._reopens_at = now + self._dice.uniform(ceiling / 2, ceiling)
            self._trips += 1
        elif self.state is not State.HALF_OPEN:
            self._trips = 0
            self._counts.clear()

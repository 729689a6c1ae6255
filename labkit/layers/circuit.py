"""A circuit breaker's memory and rules, as a table: closed, open, half-open.

It trips on a failure *rate* over a sliding window with a minimum of calls, never on a count:
counts in a row miss partial outages, and counts in a window trip a busy client at one failure
in a hundred (resilience.md 2.2, checks 1 and 2).  It has no clock and no dice of its own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from labkit.layers.circuit_states import HANDS, TRANSITIONS, State
from labkit.layers.health import Health

__all__ = ["TRANSITIONS", "Circuit", "Permit", "State", "Statistics"]


CLOSED = State.CLOSED  # looked up for every call, and a member of an Enum is slow to find


@dataclass(slots=True, eq=False)
class Permit:
    """Leave to make a call; `generation` tells a late result from a current one.

    Each probe has one of its own, and so has each call whose length matters; others share theirs.
    """

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

    A failure opens it when at least `minimum` calls ended in the last `window` seconds, it among
    them, and `failure_rate` of them failed; a call longer than `slow_after` seconds opens it when
    `slow_rate` of them were.  It then rests
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
        self.minimum, self.rest, self.longest_rest = minimum, rest, longest_rest
        self.probes, self.successes, self.probe_patience = probes, successes, probe_patience
        self.state = State.CLOSED
        self.generation = 0
        self._health = Health(window, slices)
        self._dice = dice if dice is not None else random.Random()
        self._reopens_at = 0.0
        self._trips = 0
        self._good_probes = 0
        self._probing: list[Permit] = []
        self._pass = Permit(0, False, 0.0)

    def admit(self, now: float) -> Permit | None:
        """Return a permit for one call, or None because the circuit is open."""
        if self.state is CLOSED:
            timed = self.slow_after is not None
            return Permit(self.generation, False, now) if timed else self._pass
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
        self._health.enter(now, failed=failed, slow=slow)
        if (failed or slow) and self.state is CLOSED:
            self._judge(now)

    def broke(self, permit: Permit, now: float) -> None:
        """Take note that a call recorded as good has failed after all: its stream broke later."""
        if permit.generation != self.generation:
            return
        if permit.probe:
            self._change("a probe failed", now)
        else:
            self._health.correct(now)
            if self.state is CLOSED:
                self._judge(now)

    def cancel(self, permit: Permit) -> None:
        """Take a permit back whose call says nothing about the service: cancelled, or a 429."""
        if permit in self._probing:
            self._probing.remove(permit)

    def force(self, state: State, now: float) -> None:
        """Force it open or closed, or let go again with CLOSED (an operator's hand).

        Raises ValueError for any other state: those it finds by itself.
        """
        if state not in HANDS:
            raise ValueError(f"A circuit cannot be forced to be {state.value}.")
        self._change(HANDS[state], now)

    def statistics(self, now: float) -> Statistics:
        """Return what the window holds at `now`."""
        self._notice_time(now)
        return Statistics(self.state, *self._health.counts(now), self.rest_left(now))

    def rest_left(self, now: float) -> float:
        """Return the seconds until an open circuit lets a probe through, 0 in any other state."""
        return max(0.0, self._reopens_at - now) if self.state is State.OPEN else 0.0

    def _judge(self, now: float) -> None:
        calls, failures, slow = self._health.counts(now)
        if calls < self.minimum:
            return
        if failures >= self.failure_rate * calls:
            self._change("too many calls failed", now)
        elif slow >= self.slow_rate * calls and self.slow_after is not None:
            self._change("too many calls were slow", now)

    def _probed(self, permit: Permit, now: float, failed: bool, slow: bool) -> None:
        if permit not in self._probing:  # its result is known already
            return
        self._probing.remove(permit)
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
        self._pass = Permit(self.generation, False, now)
        self._good_probes = 0
        self._probing.clear()
        if self.state is State.OPEN:
            ceiling = min(self.longest_rest, self.rest * 2.0 ** min(self._trips, 60))
            self._reopens_at = now + self._dice.uniform(ceiling / 2, ceiling)
            self._trips += 1
        elif self.state is not State.HALF_OPEN:
            self._trips = 0
            self._health.clear()

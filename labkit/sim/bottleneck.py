"""An API of finite capacity: one line, first come first served, and work for nobody is work too.

The engine's `comfortable` slows everything down a little; this is the harder case.  So many
answers a second are made, one after the other, and a request waits for those before it.  A client
that has lost patience stays in the line: that is how retries keep a service down after the cause
of an outage is gone (N. Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021).

    simulate(traffic, stack=stack, api=Bottleneck(capacity=300, pauses=[(60, 70)]))
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from labkit.errors import UserError
from labkit.sim.engine import Ask, Decision, Engine
from labkit.sim.faults import Fault

__all__ = ["Bottleneck"]


class Bottleneck(Engine):
    """An engine for the fleet that makes `capacity` answers a second, in order of arrival.

    An answer takes its time in the line and 1 / `capacity` seconds, whatever its size; there are
    no rate limits.  In each of the `pauses`, (start, end) in seconds, nothing is made and the line
    grows.  `drops_after` is the seconds after which waiting work is dropped unseen when its turn
    comes, as a server can that is told its client's deadline; None: never.

    Raises UserError for a capacity or a time that is not above zero, or pauses out of order.
    """

    def __init__(
        self,
        capacity: float,
        *,
        pauses: Sequence[tuple[float, float]] = (),
        drops_after: float | None = None,
        seed: int = 0,
        faults: Sequence[Fault] = (),
    ) -> None:
        super().__init__(seed=seed, faults=faults, tier=None)
        if not capacity > 0 or (drops_after is not None and not drops_after > 0):
            raise UserError("A capacity is above 0 a second, and patience above 0 seconds.")
        moments = [moment for pause in pauses for moment in pause]
        if moments != sorted(moments):
            raise UserError(f"Pauses begin, end and follow each other in time, not {pauses}.")
        self.capacity, self.drops_after = capacity, drops_after
        self.pauses = tuple(pauses)
        self._free_at = -inf

    def decide(self, ask: Ask, now: float, fault: Fault | None) -> Decision:
        """Decide as any engine does, then let the request wait for its turn."""
        decision = super().decide(ask, now, fault)
        if fault is not None and not fault.is_served:
            return decision
        begins = self._next_turn(now)
        if self.drops_after is not None and begins - now > self.drops_after:
            decision.prompt_tokens = decision.output_tokens = 0  # nothing is made or billed
            decision.first_token_s = decision.duration_s = inf
            return decision
        self._free_at = begins + 1 / self.capacity
        decision.first_token_s = decision.duration_s = self._free_at - now
        return decision

    def waiting(self, now: float) -> float:
        """Return how many answers are ahead of a request that arrives at `now`."""
        return max(0.0, self._free_at - now) * self.capacity

    def _next_turn(self, now: float) -> float:
        begins = max(now, self._free_at)
        for start, end in self.pauses:
            if start <= begins < end:
                begins = end
        return begins

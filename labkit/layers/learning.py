"""A booking desk that learns its limits: from headers, from refusals, or by trying carefully.

Once a second one call's answer is read for what it tells.  Where no answer ever tells a limit of
requests, the pace is found out as TCP finds its own: faster while calls wait and all goes well,
half as fast after a 429 (V. Jacobson, "Congestion Avoidance and Control", 1988).
"""

from __future__ import annotations

from math import inf

from labkit.flow import Outcome
from labkit.layers.booking import Booking, Desk
from labkit.layers.estimate import Estimate
from labkit.layers.line import Amounts
from labkit.layers.quota import Quota
from labkit.layers.rate_limit_headers import Reading

__all__ = ["LearningDesk"]

CAUTIOUS = 60.0
"""Requests a minute while the limit is unknown."""
FASTER, SLOWER = 1.25, 0.5
RAMP_START = 0.05
"""Share of the input limit at which a ramp begins."""
LOOK_EVERY_S = 1.0
KINDS = ("requests", "input-tokens", "output-tokens")


class LearningDesk(Desk):
    """A desk whose limits are at most those given, `inf` for unknown; `ramp` is per minute."""

    def __init__(self, given: Amounts, ramp: float | None, expected_output: float) -> None:
        if ramp is not None and not 1 < ramp < inf:
            raise ValueError(f"A ramp grows by a factor above 1 a minute, not {ramp}.")
        self.given = given
        self.guessing = given.requests == inf
        self._known = list(given)
        if self.guessing:
            self._known[0] = CAUTIOUS
        self._ramp = ramp
        self._share = 1.0 if ramp is None else RAMP_START
        self._look_at = -inf
        super().__init__(Amounts(*self._known), Estimate(expected_output))
        self._apply()

    def sent(self, booking: Booking, now: float) -> list[Reading]:
        """Take note of a call that goes out now; return what its answer shall be read for."""
        if now < self._look_at:
            return []
        self._look_at = now + LOOK_EVERY_S
        if self._ramp is not None and booking.cost:
            self._share = min(1.0, self._share * self._ramp ** (LOOK_EVERY_S / 60))
            self._apply()
        pairs = zip(self._quotas, KINDS, strict=True)
        return [Reading(quota, kind, now, quota.taken) for quota, kind in pairs]

    def learn(self, readings: list[Reading], booking: Booking, end: Outcome, now: float) -> None:
        """Believe what the server says; without `readings` only that it wants a pause."""
        refused = end.status == 429
        if refused and end.retry_after is not None:
            self.requests.pause(end.retry_after, now)
        if not readings:
            return
        limits = [reading.limit(end.headers) for reading in readings]
        for place, limit in enumerate(limits):
            if limit is not None:
                self._known[place] = min(limit, self.given[place])
        if limits[0] is not None:
            self.guessing = False
        elif self.guessing and (refused or (end.ok and booking.cost)):
            self._known[0] = max(1.0, self._known[0] * (SLOWER if refused else FASTER))
        self._apply()
        for reading in readings:
            reading.lower(end.headers, now)

    @property
    def _quotas(self) -> tuple[Quota, Quota, Quota]:
        return self.requests, self.input, self.output

    def _apply(self) -> None:
        for quota, known in zip(self._quotas, self._known, strict=True):
            allowed = known * self._share if quota is self.input else known
            if allowed != quota.per_minute:
                quota.change(allowed)

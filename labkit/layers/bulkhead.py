"""A bulkhead: at most so many calls at once, so that one flood does not sink everything.

Calls beyond the limit wait in the order in which they came, but only so many and only so long:
a queue without an end answers everybody too late.  Place the bulkhead inside of the breaker, so
that a refused call takes no place, and outside of the hedge, so that a hedge needs none.
"""

from __future__ import annotations

from math import inf

from labkit.drivers import Layer
from labkit.errors import Shed
from labkit.flow import Flow, Note, Now, Outcome, Request, Send, Wait
from labkit.layers.places import Fixed, Limit, Places

__all__ = ["Bulkhead"]


class Bulkhead(Layer):
    """Lets `limit` calls through at once; of the others `queue` wait, each `longest_wait` seconds.

    `limit` is a number, or learns: `Bulkhead(Adaptive())`.  Whoever finds the queue full, or
    would wait on average beyond the deadline or `longest_wait`, is refused at once with `Shed`;
    `retry_after` is the expected wait, None while no call has shown how long it stays.  A place
    is given back however the call ends; a stream has its place until the first content.

    Under the sync client others must make room from their own threads, so it needs the real
    clock: on a virtual one a wait only passes time.

    Raises ValueError for a limit below 1, or a queue or wait below 0.
    """

    def __init__(self, limit: int | Limit, *, queue: int = 100, longest_wait: float = 30.0) -> None:
        if queue < 0 or not longest_wait >= 0:
            raise ValueError(f"A queue of {queue} calls for {longest_wait} s makes no sense.")
        self.places = Places(Fixed(limit) if isinstance(limit, int) else limit)
        self.queue = queue
        self.longest_wait = longest_wait

    def flow(self, request: Request) -> Flow:
        """Take a place or wait for one, send, give the place back."""
        came: float = yield Now()
        last = min(came + self.longest_wait, inf if request.deadline is None else request.deadline)
        obstacle = self._obstacle(came, last)
        if obstacle:
            yield Note("refused", by="bulkhead", because=obstacle)
            return self._refusal(obstacle)
        place, began = self.places.come(), came
        try:
            if not place.granted.is_open:
                yield Note("queued", by="bulkhead", ahead=self.places.waiting - 1)
                yield Wait(place.granted, last)
                began = yield Now()
            if place.granted.is_open:
                outcome: Outcome = yield Send(request)
                self.places.ended(place, outcome, began, (yield Now()))
                return outcome
        finally:  # also when the call is cut short, here or further in
            self.places.leave(place)
        yield Note("refused", by="bulkhead", because="no place in time", wait_s=began - came)
        return self._refusal("no place in time")

    def _obstacle(self, now: float, last: float) -> str:
        if not self.places.is_full:
            return ""
        if self.places.waiting >= self.queue:
            return "queue full"
        expected = self.places.expected_wait()
        return "wait too long" if expected is not None and now + expected > last else ""

    def _refusal(self, obstacle: str) -> Outcome:
        expected = self.places.expected_wait()
        soon = "" if not expected else f"; the wait is {expected:.1f} s now"
        why = f"No room ({obstacle}): {self.places.under_way} calls are under way{soon}."
        return Outcome(error=Shed(why, retry_after=expected or None))

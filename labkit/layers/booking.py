"""A booking desk for the three rate limits of one model: a turn, then what it really took.

A call books what it will probably use and is told how long to wait for its turn.  When its
answer has come, the booking is settled: what was too much goes back, what was too little is
taken on top.  A call that is never sent gives everything back.
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.flow import Used
from labkit.layers.estimate import Estimate
from labkit.layers.line import Amounts, Line, Tag
from labkit.layers.quota import Quota

__all__ = ["Booking", "Desk"]

MOMENT = 1e-9
"""Seconds; what is due so soon is due."""


@dataclass(slots=True)
class Booking:
    """What one call has booked; `tag` while it waits in line, `open` until it is settled.

    `guess` is the whole prompt in tokens, as guessed from the request.
    """

    tenant: str
    amounts: Amounts
    guess: float
    cost: float = 0.0
    tag: Tag | None = None
    open: bool = False

    @property
    def waited(self) -> bool:
        """Whether there was not room for it at once."""
        return self.cost > 0


class Desk:
    """Three quotas (a minute's `limits`), the line before them, and what calls have used lately."""

    def __init__(self, limits: Amounts, estimate: Estimate) -> None:
        self.requests, self.input, self.output = map(Quota, limits)
        self.estimate = estimate
        self.line = Line()

    def book(self, tenant: str, guess: float) -> Booking:
        """Work out what a call will probably take; nothing is taken yet."""
        estimate = self.estimate
        amounts = Amounts(1.0, guess * estimate.counted, estimate.output)
        return Booking(tenant, amounts, guess)

    def turn(self, booking: Booking, now: float) -> float:
        """Take what is booked and return 0, or return the seconds until it is probably one's turn.

        A call goes as soon as there is enough for it and for all ahead of it: who comes first
        loses nothing by that, and a turn nobody takes is not lost.
        """
        requests, taken, given = self.requests, self.input, self.output
        requests.refill(now)
        taken.refill(now)
        given.refill(now)
        one, prompt, answer = booking.amounts
        if booking.tag is None and not self.line:
            wait = max(requests.wait_for(one), taken.wait_for(prompt), given.wait_for(answer))
            if wait > MOMENT:
                self._line_up(booking)
                return wait
        else:
            tag = booking.tag or self._line_up(booking)
            ahead = self.line.ahead(tag)
            wait = max(
                requests.wait_for(one, ahead.requests),
                taken.wait_for(prompt, ahead.input),
                given.wait_for(answer, ahead.output),
            )
            if wait > MOMENT:
                return wait
            self.line.served(tag)
            booking.tag = None
        self._take(booking)
        return 0.0

    def abandon(self, booking: Booking) -> None:
        """Leave the line, if one stands in it, without having been sent."""
        if booking.tag is not None:
            self.line.abandoned(booking.tenant, booking.tag, booking.cost)
            booking.tag = None

    def give_back(self, booking: Booking, *, answer_only: bool = False) -> None:
        """Return what was taken and is not used: everything, or only what the answer would take."""
        if not booking.open:
            return
        booking.open = False
        self.output.give_back(booking.amounts.output)
        if not answer_only:
            self.requests.give_back(booking.amounts.requests)
            self.input.give_back(booking.amounts.input)

    def settle(self, booking: Booking, used: Used) -> None:
        """Replace what was booked by what was used, once."""
        if not booking.open:
            return
        booking.open = False
        self.input.give_back(booking.amounts.input - used.counted_input_tokens)
        self.output.give_back(booking.amounts.output - used.output_tokens)
        self.estimate.learn(booking.guess, used)

    def _line_up(self, booking: Booking) -> Tag:
        one, prompt, answer = booking.amounts
        booking.cost = max(
            one / self.requests.per_second,
            prompt / self.input.per_second,
            answer / self.output.per_second,
        )
        booking.tag = self.line.join(booking.tenant, booking.amounts, booking.cost)
        return booking.tag

    def _take(self, booking: Booking) -> None:
        self.requests.take(booking.amounts.requests)
        self.input.take(booking.amounts.input)
        self.output.take(booking.amounts.output)
        booking.open = True

"""A booking desk for the three rate limits of one model: a turn, then what it really took.

A call books what it will probably use and is told how long to wait for its turn.  When its
answer has come, the booking is settled: what was too much goes back, what was too little is
taken on top.  A call that is never sent gives everything back.
"""

from __future__ import annotations

from msgspec import Struct

from labkit.flow import Used
from labkit.layers.estimate import Estimate
from labkit.layers.line import Amounts, Line, Tag
from labkit.layers.quota import Quota

__all__ = ["Booking", "Desk"]

MOMENT = 1e-9
"""Seconds; what is due so soon is due."""


class Booking(Struct, eq=False):
    """What one call has booked: a request, `prompt` and `answer` in tokens that count.

    `guess` is the whole prompt as guessed from the request; `tag` its place while it waits in
    line, `cost` what it was reckoned to cost there (seconds; 0: it never had to wait); `open` says
    that it has been taken and not yet been settled.
    """

    guess: float
    prompt: float
    answer: float
    cost: float = 0.0
    tag: Tag | None = None
    tenant: str = ""
    open: bool = False


class Desk:
    """Three quotas (a minute's `limits`), the line before them, and what calls have used lately."""

    def __init__(self, limits: Amounts, estimate: Estimate) -> None:
        self.requests, self.input, self.output = map(Quota, limits)
        self.estimate = estimate
        self.line = Line()

    def book(self, guess: float) -> Booking:
        """Work out what a call will probably take; nothing is taken yet."""
        estimate = self.estimate
        return Booking(guess, guess * estimate.counted, estimate.output)

    def at_once(self, booking: Booking, now: float) -> bool:
        """Take what is booked if nobody waits and there is enough, and say whether it was so."""
        if self.line.waiting or not self.requests.take_if_ready(1.0, now):
            return False
        if self.input.take_if_ready(booking.prompt, now):
            if self.output.take_if_ready(booking.answer, now):
                booking.open = True
                return True
            self.input.give_back(booking.prompt)
        self.requests.give_back(1.0)
        return False

    def turn(self, booking: Booking, now: float) -> float:
        """Take what is booked and return 0, or return the seconds until it is probably one's turn.

        A call goes as soon as there is enough for it and for all ahead of it: who comes first
        loses nothing by that, and a turn nobody takes is not lost.
        """
        requests, taken, given = self.requests, self.input, self.output
        for quota in (requests, taken, given):
            quota.refill(now)
        tag = booking.tag or self._line_up(booking)
        ahead = self.line.ahead(tag)
        wait = max(
            requests.wait_for(1.0, ahead.requests),
            taken.wait_for(booking.prompt, ahead.input),
            given.wait_for(booking.answer, ahead.output),
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
        self.output.give_back(booking.answer)
        if not answer_only:
            self.requests.give_back(1.0)
            self.input.give_back(booking.prompt)

    def settle(self, booking: Booking, used: Used) -> None:
        """Replace what was booked by what was used, once."""
        if not booking.open:
            return
        booking.open = False
        counted = used.counted_input_tokens
        if counted != booking.prompt:
            self.input.give_back(booking.prompt - counted)
        self.output.give_back(booking.answer - used.output_tokens)
        self.estimate.learn(booking.guess, counted, used.output_tokens)

    def _line_up(self, booking: Booking) -> Tag:
        amounts = Amounts(1.0, booking.prompt, booking.answer)
        booking.cost = max(
            amounts.requests / self.requests.per_second,
            amounts.input / self.input.per_second,
            amounts.output / self.output.per_second,
        )
        booking.tag = self.line.join(booking.tenant, amounts, booking.cost)
        return booking.tag

    def _take(self, booking: Booking) -> None:
        self.requests.take(1.0)
        self.input.take(booking.prompt)
        self.output.take(booking.answer)
        booking.open = True

"""A throttle: stay below the rate limit by waiting at home rather than being sent back.

Three limits count at once: requests, input tokens and output tokens.  A call books an estimate
of each before it is sent and settles with what its answer says it used.  The limits themselves,
and what is left of them, stand in the headers of every answer; a 429 says when to come back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import partial
from math import inf
from typing import Any

from labkit.drivers import Layer
from labkit.errors import Refused, Shed
from labkit.flow import Effect, Flow, Note, Now, Outcome, Request, Send, Sleep
from labkit.layers.booking import Booking, Desk
from labkit.layers.estimate import prompt_tokens
from labkit.layers.learning import LearningDesk
from labkit.layers.line import Amounts

__all__ = ["Throttle"]

LONGEST_NAP_S = 5.0
"""Whoever waits looks again at least this often, because others may have given up."""
SHORT_S = 0.1
"""Up to here a wait is slept through in one go."""
SHARE = 0.9
"""Of a longer wait only this share, since the line may have become shorter by then."""


class Throttle(Layer):
    """Sends no faster than `requests`, `input_tokens` and `output_tokens` a minute allow.

    Each model has limits of its own (`pool` names what a request draws on, by default its
    model).  A limit that is not given is learnt: until an answer tells it, requests go out
    slowly, and faster with every second that goes well.  Of a limit that is given the server's
    counts where it is lower.  `ramp` also holds back input tokens at first: they start at a
    twentieth of their limit and grow by this factor a minute, because a sharp rise may be
    refused (acceleration limit).

    `expected_output` is the tokens an answer is booked with until answers have shown better.
    `tenant` names who asks, by default `metadata.user_id`: tenants have equal shares of the line.
    A call whose turn comes after its deadline, or later than `longest_wait` seconds, is refused
    at once with `Shed`.  A call that ends before it is sent gives back its turn; one that was
    sent has used it, unless the server refused it.  Place the throttle inside of the breaker.
    Raises ValueError for a limit or a ramp that makes no sense.
    """

    def __init__(
        self,
        *,
        requests: float = inf,
        input_tokens: float = inf,
        output_tokens: float = inf,
        ramp: float | None = None,
        expected_output: float = 300.0,
        longest_wait: float = 60.0,
        tenant: Callable[[Request], str] | None = None,
        pool: Callable[[Request], str] | None = None,
    ) -> None:
        given = Amounts(requests, input_tokens, output_tokens)
        self._make = partial(LearningDesk, given, ramp, expected_output)
        self._make()  # raises for nonsense now, not with the first call
        self.longest_wait = longest_wait
        self.tenant = tenant if tenant is not None else _user
        self.pool = pool
        self.desks: dict[str, LearningDesk] = {}

    def flow(self, request: Request) -> Flow:
        """Book, wait for the turn, send, settle, and believe what the server says."""
        desk = self._desk(request)
        now: float = yield Now()
        booking = desk.book(prompt_tokens(request))
        if not desk.at_once(booking, now):
            wait, now = yield from self._line_up(desk, booking, request, now)
            if wait > 0:
                return _refusal(wait)
        readings = desk.sent(booking, now)
        outcome: Outcome = yield Send(request)
        _settle(desk, booking, outcome)
        if readings or outcome.status == 429:
            desk.learn(readings, booking, outcome, (yield Now()))
        return outcome

    def _line_up(
        self, desk: LearningDesk, booking: Booking, request: Request, began: float
    ) -> Generator[Effect, Any, tuple[float, float]]:
        """Wait for the turn; return 0 once it has come, or the seconds until it would, and now."""
        booking.tenant = self.tenant(request)
        now = began
        try:
            while (wait := desk.turn(booking, now)) > 0:
                if self._too_far(request, now + wait, began):
                    desk.abandon(booking)
                    yield Note("refused", by="throttle", wait_s=wait)
                    return wait, now
                if now == began:
                    yield Note("throttled", wait_s=wait)
                yield Sleep(wait if wait <= SHORT_S else min(SHARE * wait, LONGEST_NAP_S))
                now = yield Now()
        except GeneratorExit:
            desk.abandon(booking)
            raise
        return 0.0, now

    def _too_far(self, request: Request, turn: float, began: float) -> bool:
        late = request.deadline is not None and turn >= request.deadline
        return late or turn > began + self.longest_wait

    def _desk(self, request: Request) -> LearningDesk:
        pool: Any = request.body.get("model", "") if self.pool is None else self.pool(request)
        try:
            return self.desks[pool]
        except (KeyError, TypeError):  # the first call, or nonsense in the body
            return self.desks.setdefault(str(pool), self._make())


def _refusal(wait: float) -> Outcome:
    return Outcome(error=Shed(f"The turn would come in {wait:.1f} s.", retry_after=wait))


def _settle(desk: Desk, booking: Booking, outcome: Outcome) -> None:
    """Return what the server refused or a layer further in never sent; settle answers."""
    if outcome.ok:
        outcome.when_used(desk.settle, booking)
    elif outcome.status == 429 or isinstance(outcome.error, Refused):
        desk.give_back(booking)
    elif outcome.status is not None:  # without one nobody knows what the server still did
        desk.give_back(booking, answer_only=True)


def _user(request: Request) -> str:
    metadata = request.body.get("metadata")
    return str(metadata.get("user_id", "")) if isinstance(metadata, Mapping) else ""

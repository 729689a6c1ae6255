"""A throttle: stay below the rate limit by waiting at home rather than being sent back.

Three limits count at once, requests, input tokens and output tokens.  A call books an estimate
of each before it is sent and settles with the real usage afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.drivers import Layer
from labkit.errors import Shed
from labkit.flow import Flow, Note, Now, Outcome, Request, Send, Sleep
from labkit.layers.quota import Quota

__all__ = ["Throttle"]

CHARACTERS_PER_TOKEN = 2.5
"""The official rule of thumb for current models (claude-api.md 1.3)."""


@dataclass(frozen=True, slots=True)
class Booking:
    """What one call has booked, in requests and tokens."""

    requests: float
    input_tokens: float
    output_tokens: float


class Throttle(Layer):
    """Sends no faster than `requests`, `input_tokens` and `output_tokens` a minute allow.

    `expected_output` is the tokens an answer is booked with until it is there; `max_tokens`
    would be far too much.  A call whose turn comes after its deadline, or later than
    `longest_wait` seconds, is refused at once with `Shed`.  Place it inside of the breaker.
    """

    def __init__(
        self,
        *,
        requests: float,
        input_tokens: float,
        output_tokens: float,
        expected_output: int = 300,
        longest_wait: float = 60.0,
    ) -> None:
        self.requests, self.input = Quota(requests), Quota(input_tokens)
        self.output = Quota(output_tokens)
        self.expected_output = expected_output
        self.longest_wait = longest_wait

    def flow(self, request: Request) -> Flow:
        """Book, wait for the turn, send, settle."""
        booking = Booking(1.0, _input_tokens(request), self.expected_output)
        now: float = yield Now()
        wait = self._book(booking, now)
        late = request.deadline is not None and now + wait >= request.deadline
        if late or wait > self.longest_wait:
            self._give_back(booking)
            yield Note("refused", by="throttle", wait_s=wait)
            return Outcome(error=Shed(f"The turn would come in {wait:.1f} s.", retry_after=wait))
        try:
            if wait > 0:
                yield Note("throttled", wait_s=wait)
                yield Sleep(wait)
            outcome: Outcome = yield Send(request)
        except GeneratorExit:
            self._give_back(booking)
            raise
        if outcome.status == 429 or outcome.status is None:
            self._give_back(booking)
        return outcome

    def _book(self, booking: Booking, now: float) -> float:
        return max(
            self.requests.book(booking.requests, now),
            self.input.book(booking.input_tokens, now),
            self.output.book(booking.output_tokens, now),
        )

    def _give_back(self, booking: Booking) -> None:
        self.requests.give_back(booking.requests)
        self.input.give_back(booking.input_tokens)
        self.output.give_back(booking.output_tokens)


def _input_tokens(request: Request) -> float:
    """Estimate the prompt; a simulated fleet's request has a size instead of words."""
    size = request.body.get("prompt_tokens")
    if size is not None:
        return float(size)
    words = str(request.body.get("messages", "")) + str(request.body.get("system", ""))
    return len(words) / CHARACTERS_PER_TOKEN

"""A throttle: stay below the rate limit by waiting at home rather than being sent back.

Three limits count at once: requests, input tokens and output tokens.  A call books an estimate
of each before it is sent; afterwards the server's own word counts, the headers that say what is
left, and a 429 that says when to come back.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.drivers import Layer
from labkit.errors import Shed
from labkit.flow import Flow, Note, Now, Outcome, Request, Send, Sleep
from labkit.layers.quota import Quota

__all__ = ["Throttle"]

CHARACTERS_PER_TOKEN = 2.5
"""The official rule of thumb for current models (claude-api.md 1.3)."""
REMAINING = "anthropic-ratelimit-{}-remaining"
WORDS = ("system", "tools", "messages")


class Throttle(Layer):
    """Sends no faster than `requests`, `input_tokens` and `output_tokens` a minute allow.

    `expected_output` is the tokens an answer is booked with; `max_tokens` would be far too much.
    A call whose turn comes after its deadline, or later than `longest_wait` seconds, is refused
    at once with `Shed`.  A call that ends before it is sent gives back what it booked; one that
    was sent has used it, unless the server refused it.  Place the throttle inside of the breaker.
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
        """Book, wait for the turn, send, and believe what the server says."""
        prompt = _input_tokens(request)
        now: float = yield Now()
        wait = max(
            self.requests.book(1.0, now),
            self.input.book(prompt, now),
            self.output.book(self.expected_output, now),
        )
        late = request.deadline is not None and now + wait >= request.deadline
        if late or wait > self.longest_wait:
            self._give_back(prompt)
            yield Note("refused", by="throttle", wait_s=wait)
            return Outcome(error=Shed(f"The turn would come in {wait:.1f} s.", retry_after=wait))
        if wait > 0:
            try:
                yield Note("throttled", wait_s=wait)
                yield Sleep(wait)
            except GeneratorExit:
                self._give_back(prompt)
                raise
        outcome: Outcome = yield Send(request)
        if outcome.status == 429 or (outcome.status is None and not outcome.unreachable):
            self._give_back(prompt)
        if outcome.headers:
            self._learn(outcome, (yield Now()))
        return outcome

    def _give_back(self, prompt: float) -> None:
        self.requests.give_back(1.0)
        self.input.give_back(prompt)
        self.output.give_back(self.expected_output)

    def _learn(self, outcome: Outcome, now: float) -> None:
        if outcome.status == 429 and outcome.retry_after is not None:
            self.requests.pause(outcome.retry_after, now)
        self._believe(self.requests, "requests", outcome.headers, now)
        self._believe(self.input, "input-tokens", outcome.headers, now)
        self._believe(self.output, "output-tokens", outcome.headers, now)

    @staticmethod
    def _believe(quota: Quota, name: str, headers: Mapping[str, str], now: float) -> None:
        remaining = headers.get(REMAINING.format(name), "")
        if remaining.isdecimal():
            quota.learn(float(remaining), now)


def _input_tokens(request: Request) -> float:
    """Estimate the prompt; a simulated fleet's request has a size instead of words."""
    body = request.body
    size = body.get("prompt_tokens")
    if size is not None:
        return float(size)
    return sum(len(str(body[name])) for name in WORDS if name in body) / CHARACTERS_PER_TOKEN

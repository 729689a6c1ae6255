"""What a call will use, guessed before it is sent and better with every answer.

The prompt is guessed from its characters, the answer from earlier answers: `max_tokens` would be
far too much (resilience.md 2.4).  Tokens read from the prompt cache do not count against the
input limit (claude-api.md 2.1), so the guess is scaled by the share that counted lately.
"""

from __future__ import annotations

from labkit.flow import Request

__all__ = ["Estimate", "prompt_tokens"]

CHARACTERS_PER_TOKEN = 2.5
"""The official rule of thumb for current models (claude-api.md 1.3)."""
WORDS = ("system", "tools", "messages")
NEWEST = 0.05
"""Weight of the latest answer in the running means: they forget within some twenty answers."""


def prompt_tokens(request: Request) -> float:
    """Guess the whole prompt; a simulated fleet's request has a size instead of words."""
    body = request.body
    size = body.get("prompt_tokens")
    if size is not None:
        return float(size)
    return sum(len(str(body[name])) for name in WORDS if name in body) / CHARACTERS_PER_TOKEN


class Estimate:
    """Running means of what answers used.

    `output` is their tokens, `counted` the share of a guessed prompt that counts against the
    input limit.
    """

    def __init__(self, output: float) -> None:
        self.output = output
        self.counted = 1.0
        self._guessed = self._used = 0.0

    def learn(self, guess: float, counted: int, output: int) -> None:
        """Learn from an answer of `output` tokens to a prompt that was guessed and that counted."""
        self.output += NEWEST * (output - self.output)
        if guess > 0:
            guessed, used = self._guessed, self._used
            weight = NEWEST if guessed else 1.0
            self._guessed = guessed = guessed + weight * (guess - guessed)
            self._used = used = used + weight * (counted - used)
            self.counted = used / guessed

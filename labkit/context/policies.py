"""When to trim a conversation, and down to what: small rules over how large a prompt is.

A policy is told the size of the next prompt and answers with a goal, or None to leave it.  It
never sees a message, so it is the same for every conversation; `labkit.context.window` finds
the cut.  Token figures are of the whole prompt: tools, system and messages together.

Sliding cuts a little in almost every turn, and so makes the prompt cache worthless; blocks cut
a lot and seldom (resilience.md 2.6, 3.10).
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.context.forecasting import Forecast, Size
from labkit.context.policy import Goal, Policy
from labkit.errors import UserError

__all__ = ["Blocks", "Limit", "PriceAware", "SlidingWindow", "TokenBudget"]


@dataclass(frozen=True, slots=True)
class SlidingWindow(Policy):
    """Keep the last `turns` exchanges, each a question and all that came of it.

    Raises `UserError` unless `turns` is at least 1.
    """

    turns: int

    def __post_init__(self) -> None:
        if self.turns < 1:
            raise UserError(f"A window holds at least one turn, not {self.turns}.")

    def goal(self, size: Size) -> Goal | None:
        """Cut whenever there are more."""
        return Goal(turns=self.turns) if size.turns > self.turns else None


@dataclass(frozen=True, slots=True)
class TokenBudget(Policy):
    """Keep the prompt at or below `tokens`, letting go of as little as possible each time.

    Raises `UserError` unless `tokens` is above zero.
    """

    tokens: int

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise UserError(f"A budget is above zero tokens, not {self.tokens}.")

    @property
    def budget(self) -> int | None:
        """The most tokens of a prompt."""
        return self.tokens

    def goal(self, size: Size) -> Goal | None:
        """Cut whenever the prompt is larger."""
        return Goal(tokens=self.tokens) if size.tokens > self.tokens else None


@dataclass(frozen=True, slots=True)
class Blocks(Policy):
    """Trim in blocks with hysteresis: above `high` tokens, cut down to `low` at once.

    Between two cuts the prompt only grows at its end, so the prompt cache goes on being read.
    Where `low` is out of reach, because the last exchange alone is larger, as little as possible
    is cut.  Raises `UserError` unless 0 < low < high.
    """

    high: int
    low: int

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high:
            raise UserError(f"The low water, {self.low}, lies above 0 and below {self.high}.")

    @property
    def budget(self) -> int | None:
        """The most tokens of a prompt."""
        return self.high

    def goal(self, size: Size) -> Goal | None:
        """Cut at high water."""
        goal = Goal(tokens=self.low, or_tokens=self.high)
        return goal if size.tokens > self.high else None


@dataclass(frozen=True, slots=True)
class Limit(Policy):
    """Cut nothing: refuse what is larger than `tokens`, and advise from `advise_at` of it on.

    The refusal is `labkit.errors.ContextLimit`; until then `Trimmed.advice` tells how many turns
    are left.  Raises `UserError` unless `tokens` is above zero.
    """

    tokens: int
    advise_at: float = 0.8

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise UserError(f"A limit is above zero tokens, not {self.tokens}.")

    @property
    def budget(self) -> int | None:
        """The most tokens of a prompt."""
        return self.tokens

    def advice(self, size: Size) -> str:
        """Return a sentence for whoever is talking, empty while there is plenty of room."""
        if size.tokens < self.advise_at * self.tokens:
            return ""
        left = max(0, int((self.tokens - size.tokens) / max(1.0, size.growth)))
        room = "1 more turn fits" if left == 1 else f"{left} more turns fit"
        return (
            f"This conversation fills {size.tokens / self.tokens:.0%} of its limit; "
            f"about {room}. Start a new one with a brief soon."
        )

    def refusal(self, size: Size) -> str:
        """Say that the conversation is over."""
        return (
            f"The conversation has about {size.tokens:,} tokens and its limit is {self.tokens:,}: "
            "start a new one with a brief, or trim this one."
        )


@dataclass(frozen=True, slots=True)
class PriceAware(Policy):
    """Ask `policy` when to cut, and cut only if that pays within `horizon` requests.

    A cut makes the API read everything after it anew, which pays only if enough requests follow
    (`Forecast.pays`).  Above `limit` tokens it is cut in any case.  Where the catalogue has no
    price, the policy alone decides.  Raises `UserError` unless `horizon` and `limit` are above
    zero.
    """

    policy: Policy
    limit: int
    horizon: int = 20

    def __post_init__(self) -> None:
        if self.horizon < 1 or self.limit < 1:
            raise UserError("The horizon and the limit are above zero.")

    @property
    def budget(self) -> int | None:
        """The most tokens of a prompt."""
        return self.limit

    def goal(self, size: Size) -> Goal | None:
        """Ask the policy; above the limit, cut at least down to that."""
        goal = self.policy.goal(size)
        if size.tokens <= self.limit:
            return goal
        goal = goal or Goal()
        tokens = min(goal.tokens or self.limit, self.limit)
        return goal._replace(tokens=tokens, or_tokens=self.limit)

    def wants(self, forecast: Forecast | None) -> bool:
        """Cut what pays."""
        return forecast is None or forecast.pays

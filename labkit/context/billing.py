"""What a whole conversation costs under a policy, by arithmetic alone: no words, no requests.

Every turn has a question and an answer of the same length, follows the one before within the
lifetime of the prompt cache, and pays for its prompt in up to three parts: read from the prompt
cache as far as it begins like the one before, written from there on, or plain.  This is how the
surprise comes out: once prompts are cached, sliding a window in every turn costs several times
what not trimming at all costs, and trimming in blocks less than either (resilience.md 3.10).
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from labkit import catalog
from labkit.catalog import Model
from labkit.context.forecasting import Size, forecast
from labkit.context.policy import Policy
from labkit.errors import ContextLimit

__all__ = ["Bill", "Plan", "SummaryPlan", "bill"]

PER_TOKEN = Decimal("1e-6")


@dataclass(frozen=True, slots=True)
class Plan:
    """A conversation in tokens: how many turns, and how long each part of it is.

    Two breakpoints may be set: at the end of the system prompt, and at the end of every request
    (which is what the automatic one does).  Without either nothing is cached.
    """

    turns: int = 120
    system: int = 6000
    user: int = 150
    answer: int = 350
    system_breakpoint: bool = True
    end_breakpoint: bool = True

    @property
    def exchange(self) -> int:
        """Tokens that a turn leaves behind."""
        return self.user + self.answer


@dataclass(frozen=True, slots=True)
class SummaryPlan:
    """What is cut is summed up in so many `tokens`, put after the system prompt.

    Without a `model` of its own, the conversation's model writes it as one more turn and so
    finds its prompt in the prompt cache; another model reads what is cut at its full price.
    """

    tokens: int = 800
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Bill:
    """The cost of every turn in US dollars, with its answer and any summary.

    `breaks` counts the turns whose prompt did not begin like the one before, `read_share` is the
    part of all prompt tokens that the prompt cache served.
    """

    costs: tuple[Decimal, ...]
    breaks: int
    read_share: float

    @property
    def total(self) -> Decimal:
        """The whole conversation."""
        return sum(self.costs, Decimal(0))


@dataclass(slots=True)
class _State:
    """A conversation on its way: whole exchanges kept, tokens of its summary, its last prompt."""

    kept: int = 0
    summary: int = 0
    last: int = 0
    breaks: int = 0
    read: int = 0
    sent: int = 0


def bill(
    model: str | Model, plan: Plan, policy: Policy | None = None, summary: SummaryPlan | None = None
) -> Bill:
    """Work the conversation out; without a policy nothing is trimmed.

    Raises `UnknownModel` or `UnknownPrice` where the catalogue has none, and `ContextLimit` in
    the turn that no longer fits.
    """
    row = catalog.model(model) if isinstance(model, str) else model
    state, costs = _State(), []
    for _ in range(plan.turns):
        extra = _trim(row, plan, policy or Policy(), summary, state)
        costs.append(extra + _turn(row, plan, state))
    return Bill(tuple(costs), state.breaks, state.read / state.sent if state.sent else 0.0)


def _prompt(plan: Plan, state: _State) -> int:
    return plan.system + state.summary + state.kept * plan.exchange + plan.user


def _trim(
    row: Model, plan: Plan, policy: Policy, summary: SummaryPlan | None, state: _State
) -> Decimal:
    """Cut whole exchanges as the policy says, and return what summing them up costs."""
    tokens = _prompt(plan, state)
    before = Size(tokens, state.kept + 1, plan.exchange, tokens - state.last)
    forced = policy.budget is not None and tokens > policy.budget
    goal = policy.goal(before)
    if goal is None:
        if forced:
            raise ContextLimit(f"The prompt has {tokens:,} tokens; the limit is {policy.budget:,}.")
        return Decimal(0)
    length = 0 if summary is None else summary.tokens
    least = plan.system + length + plan.user
    kept = state.kept if goal.turns is None else min(state.kept, goal.turns - 1)
    if goal.tokens is not None:
        kept = max(0, min(kept, (goal.tokens - least) // plan.exchange))
    left = least + kept * plan.exchange
    marked = plan.system if plan.system_breakpoint else 0
    after = Size(left, kept + 1, plan.exchange, left - marked)
    known = forecast(row, before, after, requests=policy.horizon, cached=plan.end_breakpoint)
    if not forced and not policy.wants(known):
        return Decimal(0)
    spent = _summing_up(row, plan, summary, state, state.kept - kept)
    state.kept, state.summary, state.last = kept, length, marked
    state.breaks += 1
    return spent


def _turn(row: Model, plan: Plan, state: _State) -> Decimal:
    """Return the cost of one request with its answer, and remember what it left in the cache."""
    tokens = _prompt(plan, state)
    price = row.price_for(tokens)
    least = row.min_cacheable or 0
    end = tokens if plan.end_breakpoint else plan.system if plan.system_breakpoint else 0
    end = end if end >= least else 0
    read = min(state.last, end)
    parts = price.cache_read * read + price.cache_write_5m * (end - read)
    parts += price.input * (tokens - end) + price.output * plan.answer
    state.last, state.read, state.sent = end, state.read + read, state.sent + tokens
    state.kept += 1
    return parts * PER_TOKEN


def _summing_up(
    row: Model, plan: Plan, summary: SummaryPlan | None, state: _State, dropped: int
) -> Decimal:
    if summary is None:
        return Decimal(0)
    writer = row if summary.model is None else catalog.model(summary.model)
    own = summary.model is None
    read = _prompt(plan, state) if own else dropped * plan.exchange + state.summary
    price = writer.price_for(read)
    rate = price.cache_read if own and plan.end_breakpoint else price.input
    return (price.output * summary.tokens + rate * read) * PER_TOKEN

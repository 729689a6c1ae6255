"""The engine of the simulated API: what is asked and when in, what happens and how long out.

No I/O, no text, no clock.  The wire doors and the fleet ask the same engine, so the same seed
and the same requests get the same decisions, whichever door they come through.  Every decision
can be written to a log, one line a request, which is equal byte for byte at every door.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from labkit.catalog import Model
from labkit.sim.faults import Fault
from labkit.sim.latency import ASSUMED, SPREAD
from labkit.sim.limits import RateLimiter, Refusal, limit_class, tier_limits
from labkit.sim.prefix import Prefix
from labkit.sim.prompt_cache import Plan, PromptCache

__all__ = ["Ask", "Decision", "Engine"]

USUAL_OUTPUT = 120
"""Assumed median tokens of an answer whose length nobody gave; its spread is that of latency."""


class Ask(NamedTuple):
    """What matters about a request.

    `prompt_tokens` is the whole prompt; `prefix` its blocks where prompt caching is asked for;
    `output_tokens` the length of the answer where the door knows it, else it is drawn.
    """

    model: Model
    prompt_tokens: int
    max_tokens: int
    output_tokens: int | None = None
    prefix: Prefix | None = None


class Decision(NamedTuple):
    """What happens to one request that arrived at `at`.

    `fault` strikes it, or `refusal` is the rate limit it crosses, or neither.  An answer has
    `output_tokens`, its first token after `first_token_s` and its last after `duration_s`
    seconds, and its prompt divides as `plan` says.
    """

    number: int
    at: float
    fault: Fault | None
    refusal: Refusal | None
    plan: Plan
    output_tokens: int
    first_token_s: float
    duration_s: float

    @property
    def token_s(self) -> float:
        """Seconds for each token after the first."""
        return (self.duration_s - self.first_token_s) / max(1, self.output_tokens)


class Engine:
    """Decides, one request after the other, in order of arrival.

    `tier` is that of the rate limits (None: no limits); `comfortable` the number of answers at
    once up to which nothing slows down: beyond it each further share of that number adds the
    same share to every time, an assumption.  `log` is told one line a request.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: Sequence[Fault] = (),
        tier: str | None = "start",
        comfortable: int | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        self.faults = tuple(faults)
        self.tier = tier
        self.comfortable = comfortable
        self.log = log
        self.requests = 0
        self._dice = random.Random(seed)
        self._limiters: dict[str, RateLimiter] = {}
        self._cache = PromptCache()
        self._under_way: list[float] = []

    def strike(self, now: float, *, model_name: str = "", path: str = "") -> Fault | None:
        """Count a request that arrives at `now` and return the fault that strikes it, if any."""
        self.requests += 1
        for fault in self.faults:
            roll = self._dice.random() if fault.share < 1 else 0.0
            if fault.strikes(self.requests, now, roll, model_name=model_name, path=path):
                return fault
        return None

    def decide(self, ask: Ask, now: float, fault: Fault | None) -> Decision:
        """Decide what happens to a counted request (`now` in seconds, never backwards)."""
        plan = self._plan(ask, now)
        accepted = fault is None or fault.is_served
        limiter = self.limiter(ask.model.id, now)
        refusal = None
        if limiter is not None and accepted:
            refusal = limiter.admit(ask.prompt_tokens - plan.read, now)
        first, duration, output = self._times(ask, plan.read, now)
        decision = Decision(self.requests, now, fault, refusal, plan, output, first, duration)
        if accepted and refusal is None:
            self._carry_out(ask, decision, limiter)
        if self.log is not None:
            self.log(_line(ask, decision))
        return decision

    def limiter(self, model_id: str, now: float) -> RateLimiter | None:
        """Return the buckets a model draws on, None where there are no limits."""
        if self.tier is None:
            return None
        name = limit_class(model_id)
        if name not in self._limiters:
            self._limiters[name] = RateLimiter(tier_limits(name, self.tier), now)
        return self._limiters[name]

    def _plan(self, ask: Ask, now: float) -> Plan:
        if ask.prefix is None:
            return Plan(ask.prompt_tokens, 0, 0, 0, None, ())
        return self._cache.plan(ask.prefix, ask.model.min_cacheable or 1024, now)

    def _times(self, ask: Ask, read: int, now: float) -> tuple[float, float, int]:
        """Draw (seconds to the first token, seconds to the last, tokens) of an answer."""
        gauss = self._dice.gauss
        speed = ASSUMED.get(ask.model.line or "", ASSUMED["sonnet"])
        output = ask.output_tokens
        if output is None:
            output = max(1, round(USUAL_OUTPUT * math.exp(gauss(0.0, SPREAD))))
        output = min(output, ask.max_tokens)
        prompt = (ask.prompt_tokens - read) / 1000 * speed.per_1000_prompt_tokens_s
        strain = self._strain(now)
        first = (speed.first_token_s + prompt) * math.exp(gauss(0.0, SPREAD)) * strain
        pace = math.exp(gauss(0.0, SPREAD)) * strain / speed.tokens_per_second
        return first, first + output * pace, output

    def _strain(self, now: float) -> float:
        """Return how many times slower than alone an answer is that begins now."""
        if self.comfortable is None:
            return 1.0
        while self._under_way and self._under_way[0] <= now:
            heapq.heappop(self._under_way)
        return max(1.0, len(self._under_way) / self.comfortable)

    def _carry_out(self, ask: Ask, decision: Decision, limiter: RateLimiter | None) -> None:
        ends = decision.at + decision.duration_s
        if limiter is not None:
            limiter.produce(decision.output_tokens, ends)
        if ask.prefix is not None:
            begins = decision.at + decision.first_token_s
            self._cache.commit(decision.plan, decision.at, begins)
        if self.comfortable is not None:
            heapq.heappush(self._under_way, ends)


def _line(ask: Ask, decision: Decision) -> str:
    plan = decision.plan
    fault = decision.fault.kind if decision.fault else "-"
    refused = decision.refusal.kind.replace(" ", "_") if decision.refusal else "-"
    return (
        f"{decision.number} {decision.at:.6f} {ask.model.id} {fault} {refused} "
        f"{plan.uncached} {plan.read} {plan.written_5m} {plan.written_1h} "
        f"{decision.output_tokens} {decision.first_token_s:.6f} {decision.duration_s:.6f}"
    )

"""The engine of the simulated API: what is asked and when in, what happens and how long out.

No I/O, no text, no clock.  The wire doors and the fleet ask the same engine, so the same seed
and the same requests get the same decisions, whichever door they come through.  Every decision
can be written to a log, one line a request, which is equal byte for byte at every door.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Mapping, Sequence
from math import exp

from msgspec import Struct

from labkit.catalog import Model
from labkit.errors import UserError
from labkit.sim.dice import bell_pair
from labkit.sim.fault_problems import check_faults
from labkit.sim.faults import Fault
from labkit.sim.figures import need_numbers
from labkit.sim.gate import NONE, Gate
from labkit.sim.latency import ASSUMED, SPREAD, USUAL
from labkit.sim.limits import RateLimiter, Refusal
from labkit.sim.prefix import Prefix
from labkit.sim.prompt_cache import Plan, PromptCache, uncached

__all__ = ["Ask", "Decision", "Engine"]

USUAL_OUTPUT = 120
"""Assumed median tokens of an answer whose length nobody gave; its spread is that of latency."""
USUAL_MINIMUM = 512
"""Assumed shortest prefix that is kept, in tokens, where none is established; all models since
Fable 5.1 have it."""


class Ask(Struct):
    """What matters about a request.

    `prompt_tokens` is the whole prompt; `prefix` its blocks where prompt caching is asked for;
    `output_tokens` the length of the answer where the door knows it, else it is drawn.
    """

    model: Model
    prompt_tokens: int
    max_tokens: int
    output_tokens: int | None = None
    prefix: Prefix | None = None


class Decision(Struct):
    """What happens to one request that arrived at `at`.

    `fault` strikes it, or `refusal` is the rate limit it crosses, or neither.  An answer has
    `output_tokens`, its first token after `first_token_s` and its last after `duration_s`
    seconds.  `cached` is how its prompt divides where the prompt cache was asked; `headers` are
    those of the rate limits.
    """

    number: int
    at: float
    prompt_tokens: int
    cached: Plan | None
    fault: Fault | None
    refusal: Refusal | None
    output_tokens: int
    first_token_s: float
    duration_s: float
    headers: Mapping[str, str]

    @property
    def plan(self) -> Plan:
        """How the prompt divides into uncached, read and written tokens."""
        return self.cached if self.cached is not None else uncached(self.prompt_tokens)

    @property
    def token_s(self) -> float:
        """Seconds for each token after the first."""
        return (self.duration_s - self.first_token_s) / max(1, self.output_tokens)


class Engine:
    """Decides, one request after the other, in order of arrival.

    `tier` is that of the rate limits (None: no limits), `ramp` and `spend_cap` (dollars a month)
    are explained in `labkit.sim.gate` and off by default.  `comfortable` is the number of answers
    at once up to which nothing slows down: beyond it each further share of that number adds the
    same share to every time, an assumption.  `log` is told one line a request.  `asked` is the
    model's name in the latest request as it was sent, `struck` and `decided` what it came to.
    Raises UserError for what cannot be.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        faults: Sequence[Fault] = (),
        tier: str | None = "start",
        comfortable: int | None = None,
        ramp: float | None = None,
        spend_cap: float | None = None,
        log: Callable[[str], None] | None = None,
    ) -> None:
        check_faults(faults)
        need_numbers("An API", seed=seed, comfortable=comfortable)
        if comfortable is not None and not comfortable >= 1:
            raise UserError(f"At least one answer is comfortable, so not {comfortable}.")
        self.comfortable = comfortable
        self.gate = Gate(tier=tier, ramp=ramp, spend_cap=spend_cap)
        self.log = log
        self.requests = 0
        self.asked = ""
        self.struck: Fault | None = None
        self.decided: Decision | None = None
        self._dice = random.Random(seed)
        self._cache = PromptCache()
        self._under_way: list[float] = []
        self._counts = self.gate.limits or comfortable is not None
        self._windows = [(fault, fault.start, fault.end, fault.share) for fault in faults]

    def strike(self, now: float, *, model_name: str = "", path: str = "") -> Fault | None:
        """Count a request that arrives at `now` and return the fault that strikes it, if any."""
        self.requests = number = self.requests + 1
        self.asked, self.struck, self.decided = model_name, None, None
        for fault, start, end, share in self._windows:
            roll = self._dice.random() if share < 1 else 0.0
            within = start <= now < end and roll < share  # spares most requests the rest
            if within and fault.strikes(number, now, roll, model_name=model_name, path=path):
                self.struck = fault
                return fault
        return None

    def decide(self, ask: Ask, now: float, fault: Fault | None) -> Decision:
        """Decide what happens to a counted request (`now` in seconds, never backwards)."""
        cached, prompt = None, ask.prompt_tokens
        if ask.prefix is not None:
            minimum = ask.model.min_cacheable or USUAL_MINIMUM
            cached = self._cache.plan(ask.prefix, minimum, now)
            prompt -= cached.read
        served = fault is None or fault.is_served
        refusal = None
        if served and self.gate.limits:
            refusal = self.gate.admit(ask.model, prompt, now)
        output, first, duration = self._times(ask, prompt, now)
        limits = self.gate.headers(ask.model.id, now) if self._counts else NONE
        number, whole = self.requests, ask.prompt_tokens
        self.decided = decision = Decision(
            number, now, whole, cached, fault, refusal, output, first, duration, limits
        )
        if served and refusal is None and (self._counts or cached is not None):
            self._carry_out(ask, decision)
        if self.log is not None:
            self.log(_line(ask, decision))
        return decision

    def limiter(self, model_id: str, now: float) -> RateLimiter | None:
        """Return the buckets a model draws on, None where there are no limits."""
        return self.gate.limiter(model_id, now)

    def _times(self, ask: Ask, prompt: int, now: float) -> tuple[int, float, float]:
        """Draw (tokens of an answer, seconds to the first, seconds to the last)."""
        speed, uniform = ASSUMED.get(ask.model.line, USUAL), self._dice.random
        output = ask.output_tokens
        if output is None:
            output = max(1, round(USUAL_OUTPUT * exp(SPREAD * bell_pair(uniform)[0])))
        if output > ask.max_tokens:
            output = ask.max_tokens
        early, quick = bell_pair(uniform)
        strain = 1.0 if self.comfortable is None else self._strain(self.comfortable, now)
        first = speed.first_token_s + prompt / 1000 * speed.per_1000_prompt_tokens_s
        first *= exp(SPREAD * early) * strain
        pace = exp(SPREAD * quick) * strain / speed.tokens_per_second
        return output, first, first + output * pace

    def _strain(self, comfortable: int, now: float) -> float:
        """Return how many times slower than alone an answer is that begins now."""
        while self._under_way and self._under_way[0] <= now:
            heapq.heappop(self._under_way)
        return max(1.0, len(self._under_way) / comfortable)

    def _carry_out(self, ask: Ask, decision: Decision) -> None:
        now, ends = decision.at, decision.at + decision.duration_s
        if self.gate.limits:
            self.gate.settle(ask.model, decision.plan, decision.output_tokens, now, ends)
        if decision.cached is not None:
            self._cache.commit(decision.cached, now, now + decision.first_token_s)
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

"""Everything that limits an organisation: rate limits, the pace of growth, the month's dollars.

Rate limits are `labkit.sim.limits`.  The other two are off unless somebody sets them:

- The acceleration limit (claude-api.md 2.1 knows that it exists and its code, not its figures)
  works like this here: in each minute a class of models takes at most `ramp` times the input
  tokens of the busiest of the ten minutes before, and a tenth of its rate limit in any case.
  The first request of a minute is always let through, however large.
- The spend cap counts list prices when a request is let through.  Once the month's sum has
  reached the cap, everything is refused until the first of the next month, 00:00 UTC, without a
  `retry-after` (claude-api.md 2.4).  A model without an established price counts nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from math import ceil, inf

from labkit.catalog import Model
from labkit.errors import UnknownPrice, UserError
from labkit.pricing import Usage, cost
from labkit.sim.dates import EPOCH, today
from labkit.sim.fault_kinds import CODES
from labkit.sim.figures import need_numbers
from labkit.sim.limits import TIERS, RateLimiter, Refusal, limit_class, tier_limits
from labkit.sim.prompt_cache import Plan

__all__ = ["Gate", "Ramp", "Spend"]

MINUTE_S = 60.0
NONE: Mapping[str, str] = {}
MEMORY = 10
"""Minutes that the acceleration limit looks back."""
FREE_SHARE = 10
"""A tenth of the rate limit is free of the acceleration limit."""
UNTIERED = "start"
"""The tier whose limits the free tenth is taken from, where there are no rate limits."""


class Ramp:
    """The acceleration limit of one class: `growth` times the recent past, or `free` tokens."""

    def __init__(self, growth: float, free: int) -> None:
        self.growth = growth
        self.free = free
        self._minutes: deque[tuple[int, int]] = deque()

    def allowed(self, now: float) -> int:
        """Return the input tokens that the minute of `now` allows in all."""
        minute = int(now // MINUTE_S)
        past = [used for when, used in self._minutes if minute - MEMORY <= when < minute]
        return max(self.free, int(self.growth * max(past, default=0)))

    def refuses(self, tokens: int, now: float) -> Refusal | None:
        """Return why these input tokens are too many right now, None if they are not."""
        used = self._used(int(now // MINUTE_S))
        allowed = self.allowed(now)
        if used == 0 or used + tokens <= allowed:
            return None
        wait = max(1, ceil(MINUTE_S - now % MINUTE_S))
        return Refusal("ramp", allowed, wait, CODES["ramp_limited"])

    def count(self, tokens: int, now: float) -> None:
        """Count input tokens that have been let through."""
        minute = int(now // MINUTE_S)
        used = self._used(minute)
        if used or (self._minutes and self._minutes[-1][0] == minute):
            self._minutes.pop()
        self._minutes.append((minute, used + tokens))
        while self._minutes[0][0] < minute - MEMORY:
            self._minutes.popleft()

    def _used(self, minute: int) -> int:
        if not self._minutes or self._minutes[-1][0] != minute:
            return 0
        return self._minutes[-1][1]


class Spend:
    """A month's dollars, and the cap on them."""

    def __init__(self, cap_usd: Decimal) -> None:
        self.cap_usd = cap_usd
        self.spent_usd = Decimal(0)
        self._month = (0, 0)

    def refuses(self, now: float) -> Refusal | None:
        """Return the refusal once the cap has been reached, None before."""
        self._turn_page(now)
        if self.spent_usd < self.cap_usd:
            return None
        return Refusal("spend", int(self.cap_usd), None, CODES["spend_limit"])

    def count(self, model: Model, plan: Plan, output_tokens: int, now: float) -> None:
        """Add what a request costs at list price."""
        self._turn_page(now)
        usage = Usage(
            input_tokens=plan.uncached,
            output_tokens=output_tokens,
            cache_read_input_tokens=plan.read,
            cache_creation_5m=plan.written_5m,
            cache_creation_1h=plan.written_1h,
        )
        with suppress(UnknownPrice):
            self.spent_usd += cost(model, usage)

    def _turn_page(self, now: float) -> None:
        day = today(now)
        if (day.year, day.month) != self._month:
            self._month, self.spent_usd = (day.year, day.month), Decimal(0)


class Gate:
    """Lets requests of one organisation through, or says why not.

    `tier` None lifts the rate limits, `ramp` None the acceleration limit, `spend_cap` (dollars a
    month) None the spend cap; `limits` says whether anything is left.  Raises UserError for an
    unknown tier, a ramp below 1 or a cap that is not positive.
    """

    def __init__(
        self,
        *,
        tier: str | None = "start",
        ramp: float | None = None,
        spend_cap: float | None = None,
    ) -> None:
        need_numbers("An API", ramp=ramp, spend_cap=spend_cap)
        if tier is not None and tier not in TIERS:
            raise UserError(f"There is no tier {tier!r}; use one of {', '.join(TIERS)}.")
        if ramp is not None and not 1 <= ramp < inf:
            raise UserError(f"A ramp is how many times more a minute may take, so not {ramp}.")
        if spend_cap is not None and not 0 < spend_cap < inf:
            raise UserError(f"A spend cap is above 0 dollars, so it cannot be {spend_cap}.")
        self.tier = tier
        self.ramp = ramp
        self.spend = None if spend_cap is None else Spend(Decimal(str(spend_cap)))
        self.limits = not (tier is None and ramp is None and spend_cap is None)
        self._limiters: dict[str, RateLimiter] = {}
        self._ramps: dict[str, Ramp] = {}

    def limiter(self, model_id: str, now: float) -> RateLimiter | None:
        """Return the buckets a model draws on, None where there are no rate limits."""
        if self.tier is None:
            return None
        name = limit_class(model_id)
        if name not in self._limiters:
            self._limiters[name] = RateLimiter(tier_limits(name, self.tier), now)
        return self._limiters[name]

    def headers(self, model_id: str, now: float) -> Mapping[str, str]:
        """Return the rate-limit headers of an answer, none where there are no limits."""
        limiter = None if self.tier is None else self.limiter(model_id, now)
        return NONE if limiter is None else limiter.headers(now, EPOCH)

    def admit(self, model: Model, tokens: int, now: float) -> Refusal | None:
        """Debit a request that arrives now, or return why it is refused (and debit nothing).

        `tokens` is the prompt without what the prompt cache holds of it.
        """
        ramp = self._ramp(model.id)
        refusal = self.spend.refuses(now) if self.spend is not None else None
        if refusal is None and ramp is not None:
            refusal = ramp.refuses(tokens, now)
        limiter = self.limiter(model.id, now)
        if refusal is None and limiter is not None:
            refusal = limiter.admit(tokens, now)
        if refusal is None and ramp is not None:
            ramp.count(tokens, now)
        return refusal

    def settle(self, model: Model, plan: Plan, output_tokens: int, now: float, end: float) -> None:
        """Count the answer to a request admitted at `now`, which has been produced at `end`."""
        limiter = self.limiter(model.id, now)
        if limiter is not None:
            limiter.produce(output_tokens, end)
        if self.spend is not None:
            self.spend.count(model, plan, output_tokens, now)

    def _ramp(self, model_id: str) -> Ramp | None:
        if self.ramp is None:
            return None
        name = limit_class(model_id)
        if name not in self._ramps:
            free = tier_limits(name, self.tier or UNTIERED).input_tokens // FREE_SHARE
            self._ramps[name] = Ramp(self.ramp, free)
        return self._ramps[name]

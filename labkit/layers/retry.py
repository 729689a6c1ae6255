"""Retry with backoff: try again what may succeed later, and nothing else.

Only transient failures are retried (`labkit.outcome.Outcome.transient`): never a request that
is wrong, never a spend limit, never a refusal.  A stream counts as failed only before its
first content; after that the caller has seen something and owns the decision.

There is no idempotency key on the Messages API: an attempt that timed out may have been
billed.  Every attempt is therefore noted on the call's span.
"""

from __future__ import annotations

import random
import warnings

from labkit.drivers import Layer
from labkit.errors import DeadlineExceeded
from labkit.flow import Flow, Note, Now, Outcome, Request, Send, Sleep
from labkit.layers.backoff import Backoff, FullJitter, honour
from labkit.layers.retry_budget import RetryBudget

__all__ = ["Retry"]


class Retry(Layer):
    """Try up to `attempts` times in all, waiting between attempts as `backoff` says.

    A server's `retry-after` replaces the backoff: we wait that long plus a random part of
    `spread` seconds, so that a herd does not come back as one.  If it asks for more than
    `longest_wait` seconds the failure is handed on at once.  A wait that would end after the
    request's deadline is not begun: the caller gets `DeadlineExceeded` now.  `budget` limits
    retries to a share of all calls; share one between layers.  `seed` makes the dice repeatable.

    Set `max_retries=0` on the client: a second owner of retries multiplies attempts, and this
    layer warns when it meets one.  Raises ValueError unless `attempts` is at least 1.
    """

    def __init__(
        self,
        attempts: int = 4,
        *,
        backoff: Backoff | None = None,
        budget: RetryBudget | None = None,
        spread: float = 5.0,
        longest_wait: float = 60.0,
        seed: int | None = None,
    ) -> None:
        if attempts < 1:
            raise ValueError(f"A call needs at least one attempt, not {attempts}.")
        self.attempts = attempts
        self.backoff: Backoff = backoff if backoff is not None else FullJitter(base=0.5, cap=30.0)
        self.budget = budget
        self.spread = spread
        self.longest_wait = longest_wait
        self._dice = random.Random(seed)

    def flow(self, request: Request) -> Flow:
        """Send; while the outcome is transient and a retry is allowed, wait and send again."""
        if request.sdk_retries:
            _warn_of_second_owner()
        if self.budget is not None:
            self.budget.record_call((yield Now()))
        wait = 0.0
        for attempt in range(1, self.attempts + 1):
            outcome: Outcome = yield Send(request)
            if outcome.ok or not outcome.transient:
                return outcome
            now: float = yield Now()
            wait, obstacle = self._next_wait(attempt, wait, outcome, request, now)
            if obstacle:
                yield Note("gave_up", attempt=attempt, reason=outcome.reason, because=obstacle)
                late = obstacle == "deadline"
                return _too_late(outcome, wait, request, now) if late else outcome
            try:
                yield Note("retry", attempt=attempt, reason=outcome.reason, wait_s=wait)
                yield Sleep(wait)
            except GeneratorExit:
                if self.budget is not None:
                    self.budget.give_back(now, now)
                raise
        raise AssertionError("unreachable: the last attempt always meets an obstacle")

    def _next_wait(
        self, attempt: int, previous: float, outcome: Outcome, request: Request, now: float
    ) -> tuple[float, str]:
        """Return (seconds to wait, what stands in the way of a retry or nothing)."""
        asked = outcome.retry_after
        if asked is None:
            wait: float | None = self.backoff.delay(attempt - 1, previous, self._dice)
        else:
            wait = honour(asked, self.spread, self.longest_wait, self._dice)
        if attempt == self.attempts:
            return 0.0, "attempts"
        if request.deadline is not None and now + (wait or asked or 0.0) >= request.deadline:
            return wait or asked or 0.0, "deadline"
        if wait is None:
            return 0.0, "retry-after"
        if self.budget is not None and not self.budget.try_spend(now):
            return wait, "budget"
        return wait, ""


def _too_late(outcome: Outcome, wait: float, request: Request, now: float) -> Outcome:
    left = max(0.0, (request.deadline or now) - now)
    late = DeadlineExceeded(
        f"The next attempt would begin in {wait:.1f} s, but only {left:.1f} s are left; "
        f"the last one ended with {outcome.reason}."
    )
    late.__cause__ = outcome.error
    return Outcome(error=late)


def _warn_of_second_owner() -> None:
    warnings.warn(
        "The SDK is retrying too, so attempts multiply. "
        "Create the client with max_retries=0 when it has a Retry layer.",
        RuntimeWarning,
        stacklevel=2,
    )

"""A hedge: when the first attempt is unusually late, start a second and take what comes first.

It cuts the tail, since a stall seldom strikes twice (J. Dean and L. Barroso, 2013).  It costs a
second bill for every hedge, whoever wins, and feeds an overload, so it is paid from a budget and
rests while the service is overloaded.  Place it innermost: outside of retry it would multiply
the load (resilience.md 2.2, check 9).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from math import inf
from typing import Any

from labkit.drivers import Layer
from labkit.errors import DeadlineExceeded
from labkit.flow import Effect, Flow, Note, Now, Outcome, Request, Start, Ticket, first
from labkit.layers.overload import overloaded
from labkit.layers.percentile import Percentile
from labkit.layers.retry_budget import RetryBudget

__all__ = ["Hedge"]


class Hedge(Layer):
    """Starts a second attempt `after` the first has shown nothing, and cancels the slower one.

    `after` is in seconds, or learned: `Percentile(0.95)` of the times to the first content of a
    stream, or to the answer where there is no stream.  Later than that nothing is hedged.  The
    first success counts; an attempt that fails leaves the other its chance, and one that fails
    before there is another is the end: trying again is the retry's business.

    `budget` is the `RetryBudget` of a `Retry` outside, which counts the calls, or a share of the
    calls that may be hedged.  For `quiet` seconds after a sign of overload, such as a 529, a 429
    or an open circuit, nothing is hedged.

    A loser is cancelled; the sync client, which needs a thread for each attempt and the real
    clock, hangs up on it.  What the API has answered by then is billed all the same.  Raises
    ValueError for a time below 0.
    """

    def __init__(
        self,
        after: float | Percentile,
        *,
        budget: RetryBudget | float = 0.1,
        quiet: float = 10.0,
    ) -> None:
        if not quiet >= 0 or not (isinstance(after, Percentile) or after >= 0):
            raise ValueError(f"A hedge after {after} s, quiet for {quiet} s, makes no sense.")
        self.after = after
        self.quiet = quiet
        self._counts_calls = not isinstance(budget, RetryBudget)
        self.budget = budget if isinstance(budget, RetryBudget) else RetryBudget(budget)
        self._overloaded_at = -inf

    def flow(self, request: Request) -> Flow:
        """Start an attempt, a second one if the first is late, and return the first success."""
        began: float = yield Now()
        if self._counts_calls:
            self.budget.record_call(began)
        one: Ticket = yield Start(request)
        tickets = [one]
        if (yield from first(tickets, self._late_at(began, request))) is None:
            tickets += yield from self._second(request, began)
        winner = yield from _first_success(tickets, request.deadline)
        self._learn(tickets, began, (yield Now()))
        if len(tickets) > 1:
            won = "nobody" if winner is None else "first" if winner is one else "second"
            yield Note("hedged", won=won)
        if winner is None or winner.outcome is None:
            return Outcome(
                error=DeadlineExceeded("The deadline passed before there was an answer.")
            )
        return winner.outcome

    def _late_at(self, began: float, request: Request) -> float | None:
        """Return when the first attempt is late, or its deadline if it never is."""
        after = self.after.value if isinstance(self.after, Percentile) else self.after
        if after is None:
            return request.deadline
        return began + after if request.deadline is None else min(began + after, request.deadline)

    def _second(self, request: Request, began: float) -> Generator[Effect, Any, list[Ticket]]:
        """Start the second attempt, if it may be."""
        now: float = yield Now()
        if request.deadline is not None and now >= request.deadline:
            return []
        quiet = now < self._overloaded_at + self.quiet
        if quiet or not self.budget.try_spend(now):
            yield Note("not_hedged", because="overload" if quiet else "budget")
            return []
        try:
            two: Ticket = yield Start(request)
        except GeneratorExit:
            self.budget.give_back(now, now)
            raise
        yield Note("hedge", after_s=now - began)
        return [two]

    def _learn(self, tickets: Sequence[Ticket], began: float, now: float) -> None:
        """Learn how long first attempts take, and whether there is an overload.

        One that was overtaken would have taken longer still: that is all a percentile has to know.
        """
        outcomes = [ticket.outcome for ticket in tickets if ticket.outcome is not None]
        if any(overloaded(outcome) for outcome in outcomes):
            self._overloaded_at = now
        one = tickets[0]
        if isinstance(self.after, Percentile) and (one.outcome is None or one.outcome.ok):
            self.after.enter(now - began)


def _first_success(
    tickets: Sequence[Ticket], until: float | None
) -> Generator[Effect, Any, Ticket | None]:
    """Wait for the first success; return the last failure without one, None if `until` comes."""
    left = list(tickets)
    while True:
        done = yield from first(left, until)
        if done is None or len(left) == 1 or (done.outcome is not None and done.outcome.ok):
            return done
        left.remove(done)

"""A purse for live mode: no request leaves unless its worst case fits into what is left.

When the answer says what was used, the rest goes back into the purse, and an answer that is an
error gives back all of it.  A stream, or an answer that never came, keeps its worst case.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from labkit.drivers import Layer
from labkit.errors import BenchError, BudgetSpent
from labkit.flow import Flow, Outcome, Request, Send
from labkit.lab.worst_case import FREE_PATHS, worst_case
from labkit.pricing import Usage, cost, total

__all__ = ["Purse"]


class Purse(Layer):
    """Refuses, with `BudgetSpent`, whatever could cross `budget` dollars.

    List it innermost, so that every attempt pays for itself.  Threads may share it.
    """

    def __init__(self, budget: Decimal) -> None:
        self.budget = budget
        self.spent = Decimal(0)

    def flow(self, request: Request) -> Flow:
        """Reserve the worst case, send, and give back what was not used."""
        if request.method == "GET" or request.path.partition("?")[0] in FREE_PATHS:
            outcome: Outcome = yield Send(request)
            return outcome
        reserve = worst_case(request)
        if total([self.spent, reserve]) > self.budget:
            left = total([self.budget, -self.spent])
            message = (
                f"This request could cost up to ${reserve:.4f}, and ${left:.4f}"
                f" of ${self.budget:.2f} is left. Raise the budget or lower max_tokens."
            )
            return Outcome(error=BudgetSpent(message))
        self.spent = total([self.spent, reserve])
        outcome = yield Send(request)
        used = _used(request, outcome)
        if used is not None:
            self.spent = total([self.spent, used, -reserve])
        return outcome


def _used(request: Request, outcome: Outcome) -> Decimal | None:
    """Return what an attempt cost, None where the answer does not say."""
    response: Any = getattr(outcome.value, "http_response", None)
    if outcome.status is not None and outcome.status >= 400:
        return Decimal(0)
    if request.stream or response is None or not response.is_closed:
        return None
    try:
        return cost(str(request.model), Usage.from_api(response.json()["usage"]))
    except (BenchError, KeyError, ValueError, TypeError):
        return None

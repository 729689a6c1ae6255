"""A purse for live mode: no request leaves unless its worst case fits into what is left.

The worst case counts every byte of the request as a token, at the model's dearest input
price, and all of `max_tokens` as output.  When the answer says what was used, the rest goes
back into the purse; a stream, or an answer that never came, keeps its worst case.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from labkit.catalog import model
from labkit.drivers import Layer
from labkit.errors import BudgetSpent
from labkit.flow import Flow, Outcome, Request, Send
from labkit.pricing import Usage, cost

__all__ = ["Purse", "worst_case"]

FREE_PATHS = ("/v1/messages/count_tokens",)


class Purse(Layer):
    """Refuses, with `BudgetSpent`, whatever could cross `budget` dollars.

    List it innermost, so that every attempt pays for itself.
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
        if self.spent + reserve > self.budget:
            message = (
                f"This request could cost up to ${reserve:.4f}, and ${self.budget - self.spent:.4f}"
                f" of ${self.budget:.2f} is left. Raise the budget or lower max_tokens."
            )
            return Outcome(error=BudgetSpent(message))
        self.spent += reserve
        outcome = yield Send(request)
        used = _used(request, outcome)
        if used is not None:
            self.spent += used - reserve
        return outcome


def worst_case(request: Request) -> Decimal:
    """Return the most a Messages request can cost in dollars; raises `UnknownPrice`."""
    body = dict(request.body)
    if "requests" in body:
        raise BudgetSpent("Batches are not allowed under a live budget yet.")
    size = len(json.dumps(body, ensure_ascii=False).encode())
    limit = model(str(request.model)).context_window
    tokens = size if limit is None else min(size, limit)
    usage = Usage(
        cache_creation_1h=tokens,
        output_tokens=int(body.get("max_tokens", 0)),
        speed=body.get("speed"),
        inference_geo=body.get("inference_geo"),
    )
    return cost(str(request.model), usage)


def _used(request: Request, outcome: Outcome) -> Decimal | None:
    """Return what an attempt cost, None where the answer does not say."""
    response: Any = getattr(outcome.value, "http_response", None)
    if outcome.status is not None and outcome.status >= 400:
        return Decimal(0)
    if request.stream or response is None or not response.is_closed:
        return None
    try:
        return cost(str(request.model), Usage.from_api(response.json()["usage"]))
    except (KeyError, ValueError, TypeError):
        return None

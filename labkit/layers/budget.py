"""A budget in dollars: reserve the worst case before sending, settle with what was really used.

    file = SpendingFile("spent.sqlite")
    layers = [..., Budget(5, book=file), Budget("0.05", account=user_of, book=file)]

Listed innermost, it sees every attempt: retries, the loser of a hedge, a fallback and a stream
that was given up are each a line of their own.  Several budgets, one inside the other, limit the
same attempts by process, lesson and user; each has its own account.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

from labkit.drivers import Layer
from labkit.errors import BenchError, BudgetSpent, Refused, UserError
from labkit.flow import Flow, Note, Outcome, Request, Send, Used
from labkit.layers.spending import Line, Spending, SpendingBook
from labkit.layers.worst_case import BATCHES, FREE_PATHS, worst_case
from labkit.pricing import cost, total
from labkit.usage import Usage

__all__ = ["Account", "Budget", "user_of"]

Account: TypeAlias = str | Callable[[Request], str | None]
"""The name of an account, or what finds it for a request: None if there is none to charge."""


class Budget(Layer):
    """Refuses, with `BudgetSpent`, whatever could make its account cross `limit` dollars.

    Every attempt reserves its worst case.  Once its usage is known (of a stream: when it has been
    read to the end) the rest is given back; an answer that is an error gives back all of it.  An
    answer that never came, was given up, or has no known price keeps its worst case, because it
    may have been billed.

    `account` names what is charged; as a function of the request it keeps an account for each
    user, for example (`user_of`).  `book` is where accounts are kept: in memory by default, and
    in a `SpendingFile` for what must survive a crash.  Threads, tasks and layers may share one.
    Raises `UserError` unless the limit is a positive number of dollars.
    """

    def __init__(
        self,
        limit: Decimal | float | str,
        *,
        account: Account = "process",
        book: SpendingBook | None = None,
    ) -> None:
        try:
            self.limit = Decimal(str(limit))
        except ArithmeticError:
            self.limit = Decimal(0)
        if not self.limit.is_finite() or self.limit <= 0:
            raise UserError(f"A budget is a positive number of dollars, not {limit!r}.")
        self.account = account
        self.book: SpendingBook = Spending() if book is None else book

    @property
    def spent(self) -> Decimal:
        """The dollars spent and reserved on the account.

        Raises `UserError` where there are several: ask `book.spent(name)` then.
        """
        if not isinstance(self.account, str):
            raise UserError("This budget keeps several accounts: ask book.spent(name) for one.")
        return self.book.spent(self.account)

    @property
    def lines(self) -> list[Line]:
        """The attempts charged, each with what it reserved and came to; of several: the book's."""
        return self.book.lines(self.account if isinstance(self.account, str) else None)

    def flow(self, request: Request) -> Flow:
        """Reserve the worst case, send, and settle when it is known what was used."""
        name = self.account if isinstance(self.account, str) else self.account(request)
        if name is None or _is_free(request):
            outcome: Outcome = yield Send(request)
            return outcome
        try:
            reserve = worst_case(request)
        except BudgetSpent as refusal:
            return Outcome(error=refusal)
        line = self.book.reserve(name, reserve, self.limit, str(request.model))
        if line is None:
            yield Note("refused", by="budget", account=name)
            return Outcome(error=self._refusal(name, reserve))
        try:
            outcome = yield Send(request)
        except GeneratorExit:
            self.book.settle(line, None, "given up")
            raise
        self._settle(line, request, outcome)
        return outcome

    def _settle(self, line: int, request: Request, outcome: Outcome) -> None:
        unsent = isinstance(outcome.error, Refused)
        unbilled = unsent or (outcome.status is not None and outcome.status >= 400)
        self.book.settle(line, Decimal(0) if unbilled else None, outcome.reason)
        if not unbilled:
            outcome.when_used(self._learn, line, str(request.model), outcome.reason)

    def _learn(self, line: int, model: str, end: str, used: Used) -> None:
        try:
            self.book.settle(line, cost(model, _usage(used)), end)
        except BenchError:  # without a price the worst case stays
            return

    def _refusal(self, name: str, reserve: Decimal) -> BudgetSpent:
        left = total([self.limit, -self.book.spent(name)])
        return BudgetSpent(
            f"This request could cost up to ${reserve:.4f}, and ${left:.4f}"
            f" of ${self.limit:.2f} is left for {name!r}. Raise the budget or lower max_tokens."
        )


def user_of(request: Request) -> str | None:
    """Return the account of the user whom `metadata.user_id` names, None if nobody is named."""
    metadata = request.body.get("metadata")
    named = metadata.get("user_id") if isinstance(metadata, dict) else None
    return None if named is None else f"user {named}"


def _is_free(request: Request) -> bool:
    path = request.path.partition("?")[0]
    canceling = path.startswith(f"{BATCHES}/") and path.endswith("/cancel")
    return request.method == "GET" or path in FREE_PATHS or canceling


def _usage(used: Used) -> Usage:
    """Read the whole usage; four counts alone leave the lifetime of writes open: the dearer."""
    if used.usage is not None:
        return Usage.from_api(used.usage)
    return Usage(
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cache_read_input_tokens=used.cache_read_tokens,
        cache_creation_1h=used.cache_written_tokens,
    )

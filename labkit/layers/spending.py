"""Spending by account: what has been reserved, what it came to, and a line for every attempt.

A reservation counts as spent until somebody says what the attempt really cost.  So nobody can
spend the same dollar twice, and what is lost on the way is never taken for free.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from labkit.errors import UserError
from labkit.pricing import total

__all__ = ["Line", "Spending", "SpendingBook"]


@dataclass(frozen=True, slots=True)
class Line:
    """One attempt on the account of `account`; amounts are US dollars.

    `cost` is None while nobody has said what the attempt came to, and then `reserved` counts.
    `end` says in a word or two how it ended, None while it is under way.
    """

    number: int
    account: str
    model: str
    reserved: Decimal
    cost: Decimal | None = None
    end: str | None = None

    @property
    def counted(self) -> Decimal:
        """What the line takes from its account."""
        return self.reserved if self.cost is None else self.cost


class SpendingBook(Protocol):
    """Where a budget writes: `Spending` in memory, `SpendingFile` on disk."""

    def reserve(self, account: str, amount: Decimal, limit: Decimal, model: str) -> int | None:
        """Reserve an amount and return the number of its line, None if that crosses the limit."""
        ...

    def settle(self, number: int, cost: Decimal | None, end: str) -> None:
        """Say how an attempt ended and what it cost, None where that is not known."""
        ...

    def spent(self, account: str) -> Decimal:
        """Return the dollars spent and reserved on an account."""
        ...

    def lines(self, account: str | None = None) -> list[Line]:
        """Return the lines of an account, or of all, in order."""
        ...


class Spending:
    """Keeps accounts in memory: all the sums, all lines without a cost, the last `keep` others."""

    def __init__(self, *, keep: int = 100_000) -> None:
        self._keep = keep
        self._number = 0
        self._spent: dict[str, Decimal] = {}
        self._open: dict[int, Line] = {}
        self._settled: OrderedDict[int, Line] = OrderedDict()

    def reserve(self, account: str, amount: Decimal, limit: Decimal, model: str) -> int | None:
        """Reserve an amount and return the number of its line, None if that crosses the limit."""
        spent = total([self.spent(account), amount])
        if spent > limit:
            return None
        self._number += 1
        self._spent[account] = spent
        self._open[self._number] = Line(self._number, account, model, amount)
        return self._number

    def settle(self, number: int, cost: Decimal | None, end: str) -> None:
        """Say how an attempt ended and what it cost, None where that is not known.

        It may be said again, when more is known.  Raises `UserError` for a line that is not there.
        """
        old = self._open.pop(number, None) or self._settled.pop(number, None)
        if old is None:
            raise UserError(f"There is no line {number}.")
        known = old.cost if cost is None else cost
        new = Line(number, old.account, old.model, old.reserved, known, end)
        spent = [self.spent(old.account), new.counted, -old.counted]
        self._spent[old.account] = total(spent)
        if known is None:
            self._open[number] = new
            return
        self._settled[number] = new
        while len(self._settled) > self._keep:
            self._settled.popitem(last=False)

    def spent(self, account: str) -> Decimal:
        """Return the dollars spent and reserved on an account."""
        return self._spent.get(account, Decimal(0))

    def lines(self, account: str | None = None) -> list[Line]:
        """Return the lines of an account, or of all, in order."""
        every = sorted([*self._open.values(), *self._settled.values()], key=_number)
        return [line for line in every if account in (None, line.account)]


def _number(line: Line) -> int:
    return line.number

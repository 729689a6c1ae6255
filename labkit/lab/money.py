"""What live mode needs before it spends anything: a key and an explicit budget."""

from __future__ import annotations

import os
from decimal import Decimal

from labkit.errors import UserError

__all__ = ["api_key", "dollars"]


def api_key() -> str:
    """Return ANTHROPIC_API_KEY; raises `UserError` where it is not set."""
    key = os.environ.get("ANTHROPIC_API_KEY")
    if not key:
        raise UserError(
            "The real API needs a key: set ANTHROPIC_API_KEY, or use replay or simulate mode."
        )
    return key


def dollars(budget: float | str | Decimal | None) -> Decimal:
    """Return the budget given, or LABKIT_BUDGET; raises `UserError` unless it is positive."""
    text = str(budget) if budget is not None else os.environ.get("LABKIT_BUDGET", "")
    try:
        amount = Decimal(text)
    except ArithmeticError:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise UserError(
            "The real API costs money: give a budget in dollars, as in Lab(..., budget=0.50) "
            "or LABKIT_BUDGET=0.50."
        )
    return amount

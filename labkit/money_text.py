"""A sum of money as people read it: to the cent, and a smaller one never as nothing."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

__all__ = ["money"]

CENTS = 2


def money(dollars: Decimal, rounding: str = ROUND_HALF_EVEN) -> str:
    """Say a sum in whole cents, one below ten cents to two significant digits.

    `rounding` is one of `decimal`'s: a bound is rounded up (`ROUND_CEILING`) to stay one.

    >>> money(Decimal("1234.5")), money(Decimal("0.0000456")), money(Decimal(0))
    ('$1,234.50', '$0.000046', '$0.00')
    """
    places = max(CENTS, 1 - dollars.adjusted()) if dollars else CENTS
    with localcontext(rounding=rounding):
        return f"${dollars:,.{places}f}"

"""Money reads as a person would write it, and what costs something never reads as nothing."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.money_text import money

SUMS = st.decimals("1e-12", "1e9", allow_nan=False)


def read(text: str) -> Decimal:
    """Return the sum a reader sees."""
    assert text.startswith("$")
    return Decimal(text[1:].replace(",", ""))


@pytest.mark.parametrize(
    ("dollars", "text"),
    [
        ("0", "$0.00"),
        ("0E-9", "$0.00"),
        ("0.000000125", "$0.00000012"),
        ("0.0045", "$0.0045"),
        ("0.0999", "$0.100"),
        ("0.104", "$0.10"),
        ("360", "$360.00"),
        ("1234567.891", "$1,234,567.89"),
    ],
)
def test_a_sum_is_said_to_the_cent_or_to_two_digits(dollars: str, text: str) -> None:
    """Without exponents, with commas between thousands."""
    assert money(Decimal(dollars)) == text


@given(SUMS)
def test_what_is_said_is_near_and_never_nothing(dollars: Decimal) -> None:
    """Half a cent away at most, or a twentieth of a smaller sum."""
    said = read(money(dollars))
    assert said > 0
    assert abs(said - dollars) <= min(Decimal("0.005"), dollars / 20)


@given(SUMS)
def test_a_bound_that_is_rounded_up_stays_a_bound(dollars: Decimal) -> None:
    """What is said is never below the sum."""
    assert read(money(dollars, ROUND_CEILING)) >= dollars

"""What live mode asks for before it spends anything."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import UserError
from labkit.lab.money import api_key, dollars


@pytest.mark.parametrize("key", [None, ""])
def test_no_key_says_what_to_do(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    """The message names the variable and the ways without a key."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    with pytest.raises(UserError, match=r"set ANTHROPIC_API_KEY, or use replay or simulate"):
        api_key()


@given(st.decimals(Decimal("0.000001"), Decimal(10**6), allow_nan=False))
def test_a_budget_is_taken_exactly(amount: Decimal) -> None:
    """However it is written, not a fraction of a cent is lost."""
    assert dollars(amount) == dollars(str(amount)) == amount
    assert dollars(float(amount)) == Decimal(str(float(amount)))


@given(
    st.sampled_from(["", "none", "0", "-1", "0.0", "nan", "-inf", "Infinity", "1,5", "$1", "1e"])
    | st.floats(max_value=0)
    | st.booleans()
)
def test_nonsense_is_refused(budget: Any) -> None:
    """Nothing, less than nothing, and what is no number."""
    with pytest.raises(UserError, match="give a budget in dollars"):
        dollars(budget)


def test_the_environment_is_asked_where_nothing_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """LABKIT_BUDGET counts unless the cell says something else."""
    monkeypatch.setenv("LABKIT_BUDGET", " 0.50 ")
    assert dollars(None) == Decimal("0.50")
    assert dollars(2) == Decimal(2)
    monkeypatch.delenv("LABKIT_BUDGET")
    with pytest.raises(UserError):
        dollars(None)

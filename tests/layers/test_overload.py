"""What counts as overload: who was turned away for the load, not for what was asked."""

from __future__ import annotations

import pytest

from labkit.errors import BudgetSpent, CircuitOpen, DeadlineExceeded, Shed
from labkit.flow import Outcome
from labkit.layers.overload import overloaded
from tests.layers.flows import OK, OVERLOADED


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (OK, False),
        (OVERLOADED, True),
        (Outcome(status=429), True),
        (Outcome(status=503), True),
        (Outcome(status=200, error_type="overloaded_error"), True),
        (Outcome(error=CircuitOpen("open")), True),
        (Outcome(error=Shed("no room")), True),
        (Outcome(error=BudgetSpent("spent")), True),
        (Outcome(status=500, error_type="api_error"), False),
        (Outcome(status=400), False),
        (Outcome(status=200, error_type="api_error"), False),
        (Outcome(error=DeadlineExceeded("late")), False),
        (Outcome(error=TimeoutError("late"), unreachable=True), False),
    ],
    ids=lambda value: value.reason if isinstance(value, Outcome) else str(value),
)
def test_overload_is_told_from_every_other_end(outcome: Outcome, expected: bool) -> None:
    """A wrong request or a broken line is no overload."""
    assert overloaded(outcome) is expected

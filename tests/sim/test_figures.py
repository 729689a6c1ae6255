"""Figures that somebody types: numbers of every kind pass, anything else is named."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest

from labkit.errors import UserError
from labkit.sim.figures import need_numbers


@pytest.mark.parametrize("value", [0, -1.5, inf, nan, None, Fraction(1, 3), np.int64(3)])
def test_a_number_passes_whatever_it_is(value: object) -> None:
    """Whether it makes sense is for others to say; None stands for no value."""
    need_numbers("A fault", share=value)


@pytest.mark.parametrize("value", ["1", True, [1], Decimal(1), b"1", 1j])
def test_what_is_no_number_is_named(value: object) -> None:
    """Whose figure it is, which one, and what was given."""
    with pytest.raises(UserError, match=r"^A fault's share is a number, so it cannot be "):
        need_numbers("A fault", first=1, share=value)

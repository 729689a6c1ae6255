"""Figures that somebody types: a number, or one sentence that says what is none."""

from __future__ import annotations

from numbers import Real

from labkit.errors import UserError

__all__ = ["need_numbers"]


def need_numbers(owner: str, **given: object) -> None:
    """Raise UserError for the first value that is neither a number nor None.

    >>> need_numbers("A fault", share=0.5, first=None)
    >>> need_numbers("A fault", share="half")
    Traceback (most recent call last):
    labkit.errors.UserError: A fault's share is a number, so it cannot be 'half'.
    """
    for name, value in given.items():
        if value is not None and (isinstance(value, bool) or not isinstance(value, Real)):
            raise UserError(f"{owner}'s {name} is a number, so it cannot be {value!r}.")

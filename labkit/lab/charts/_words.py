"""Figures and lengths of time in words, rounded as a person would say them."""

from __future__ import annotations

import math
from collections.abc import Iterable

__all__ = ["TIME_UNITS", "amount", "counted", "duration", "listed", "time_unit"]

TIME_UNITS = (("ms", 0.001, 1.0), ("s", 1.0, 240.0), ("min", 60.0, 14_400.0))
"""Units of time: the name, its seconds, and the length in seconds from which it is too small."""


def amount(value: float, unit: str = "") -> str:
    """Say a figure to three significant digits, whole thousands in full, with its unit.

    >>> amount(0.012345, "$"), amount(12.5, "$"), amount(61.84, "%"), amount(1234567, "tokens")
    ('$0.0123', '$12.50', '61.8%', '1.23 million tokens')
    """
    if math.isnan(value):
        return "unknown"
    size = abs(value)
    if size >= 1e6:
        power, word = (1e9, "billion") if size >= 1e9 else (1e6, "million")
        text = f"{_digits(size / power)} {word}"
    elif unit == "$" and size >= 1:
        text = f"{size:,.2f}" if size < 1000 else f"{size:,.0f}"
    else:
        text = f"{size:,.0f}" if size >= 1000 else _digits(size)
    sign = "-" if value < 0 and text.strip("0.") else ""
    if unit == "$":
        return f"{sign}${text}"
    return f"{sign}{text}{unit if unit in ('%', 'x') else f' {unit}' if unit else ''}"


def _digits(value: float) -> str:
    if value < 1e-9:
        return f"{value:.3g}"
    places = max(0, 2 - math.floor(math.log10(value)))
    text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def time_unit(length: float) -> tuple[str, float]:
    """Choose the unit, and its seconds, in which a length of time reads well."""
    for name, seconds, too_long in TIME_UNITS:
        if length < too_long:
            return name, seconds
    return "h", 3600.0


def duration(seconds: float) -> str:
    """Say a length of time in the unit it reads well in.

    >>> duration(0.25), duration(12.04), duration(5400)
    ('250 ms', '12 s', '90 min')
    """
    unit, size = time_unit(abs(seconds))
    return amount(seconds / size, unit)


def counted(number: int, noun: str) -> str:
    """Say a number of things, in the singular for one.

    >>> counted(1, "call"), counted(0, "call")
    ('1 call', '0 calls')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(parts: Iterable[str]) -> str:
    """Join parts as a sentence lists them.

    >>> listed(["one", "two", "three"])
    'one, two and three'
    """
    *rest, last = list(parts)
    return f"{', '.join(rest)} and {last}" if rest else last

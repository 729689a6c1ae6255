"""A number that fits a JSON Schema: within its bounds, and a multiple where it asks for one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

__all__ = ["finite", "sample_number"]

FINEST, COARSEST = 1e-6, 1e12
"""Multiples outside of this range are not looked at."""


def finite(rules: Mapping[str, Any], name: str) -> float | None:
    """Return a rule that is a finite number, else None."""
    value = rules.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if -1e300 < value < 1e300 else None


def sample_number(
    rules: Mapping[str, Any], wished: Iterable[float], place: int, *, whole: bool
) -> float:
    """Return the first wish that fits, else 1 or the nearest that does.

    `place` tells apart the numbers of one list.  Where nothing fits, it is `place` + 1.
    """
    step = finite(rules, "multipleOf") or 1
    step = step if FINEST <= step <= COARSEST else 1
    for figure in (*wished, *_usual(rules, step, place)):
        candidate = int(figure) if whole else figure
        if candidate == figure and _fits(rules, candidate):
            return candidate
    return place + 1


def _usual(rules: Mapping[str, Any], step: float, place: int) -> Iterator[float]:
    """Yield what usually fits: near 1, near the lower bound, near the upper one, between them."""
    lows = [finite(rules, "minimum"), finite(rules, "exclusiveMinimum")]
    highs = [finite(rules, "maximum"), finite(rules, "exclusiveMaximum")]
    low = max((each for each in lows if each is not None), default=None)
    high = min((each for each in highs if each is not None), default=None)
    yield (place + 1) * step
    if low is not None:
        yield (math.ceil(low / step) + place) * step
        yield (math.floor(low / step) + 1 + place) * step
    if high is not None:
        yield (math.floor(high / step) - place) * step
        yield (math.ceil(high / step) - 1 - place) * step
    if low is not None and high is not None:
        yield low + (high - low) * (place + 1) / (place + 2)


def _fits(rules: Mapping[str, Any], figure: float) -> bool:
    tests: Mapping[str, Callable[[float], bool]] = {
        "minimum": lambda bound: figure >= bound,
        "maximum": lambda bound: figure <= bound,
        "exclusiveMinimum": lambda bound: figure > bound,
        "exclusiveMaximum": lambda bound: figure < bound,
        "multipleOf": lambda step: step < FINEST or abs(figure % step) in (0, step),
    }
    bounds = ((test, finite(rules, name)) for name, test in tests.items())
    return all(bound is None or test(bound) for test, bound in bounds)

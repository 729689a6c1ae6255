"""Arithmetic: "What is 17 + 25?", right as often as the model's skill says.

Sums, differences and products of two whole numbers, no more.  A wrong result is a near
miss: off by one, by ten, or by a tenth of the right one.
"""

from __future__ import annotations

import re

from labkit.sim.dice import Dice

__all__ = ["calculated"]

MINUS = "\u2212-"
"""The true minus sign, and the hyphen: last, so that it makes no range of characters."""
TIMES = "*x\u00d7"
NUMBER = rf"[{MINUS}]?\d[\d,]{{0,18}}"
ASKED = re.compile(
    r"\b(?:what(?:'s| is)|how much is|calculate|compute|work out)\s+"
    rf"({NUMBER})\s*([+{TIMES}{MINUS}])\s*({NUMBER})(?![\d.]*\d|\s*[+/{TIMES}{MINUS}])",
    re.IGNORECASE,
)


def calculated(turn: str, *, right: float, seed: int, model: str) -> str | None:
    """Return the result as text, None if the turn asks for no such thing.

    It is right with the chance `right`, by dice that depend on the question and the model.
    """
    asked = ASKED.search(turn)
    if asked is None:
        return None
    left, sign, other = _number(asked.group(1)), asked.group(2).lower(), _number(asked.group(3))
    result = left * other
    if sign not in TIMES:
        result = left + other if sign == "+" else left - other
    dice = Dice(seed, 0, f"calculate/{model}/{left} {sign} {other}")
    if dice.random() < right:
        return str(result)
    misses = [result - 1, result + 1, result - 10, result + 10, result + (abs(result) // 10 or 2)]
    return str(dice.some(misses, 1)[0])


def _number(text: str) -> int:
    return int(text.replace(",", "").replace(MINUS[0], "-"))

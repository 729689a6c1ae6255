"""Dice that fall the same on every machine, in every Python version, at every door.

Each request has dice of its own, made from the seed and the request's number, so what one
request draws never shifts what another one gets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from math import cos, exp, log, sin, sqrt, tau
from statistics import NormalDist
from typing import TypeVar

__all__ = ["Dice", "bell_pair"]

T = TypeVar("T")
NORMAL = NormalDist()
DRAWS = 8
"""Draws in one digest of 64 bytes."""


class Dice:
    """Uniform draws in [0, 1), and what can be made of them."""

    __slots__ = ("_digest", "_name", "_used")

    def __init__(self, seed: int, number: int, purpose: str = "") -> None:
        self._name = f"{seed}/{number}/{purpose}".encode()
        self._digest = hashlib.blake2b(self._name).digest()
        self._used = 0

    def random(self) -> float:
        """Draw uniformly from [0, 1)."""
        place = self._used % DRAWS
        if place == 0 and self._used:
            self._digest = hashlib.blake2b(self._digest + self._name).digest()
        self._used += 1
        bits = int.from_bytes(self._digest[8 * place : 8 * place + 8], "big") >> 11
        return bits / 9007199254740992.0  # 2 ** 53

    def whole(self, low: int, high: int) -> int:
        """Draw a whole number from `low` to `high`, both included."""
        return low + int(self.random() * (high - low + 1))

    def lognormal(self, sigma: float) -> float:
        """Draw a factor with median 1 whose logarithm is normal with this sigma."""
        return exp(sigma * NORMAL.inv_cdf(max(self.random(), 1e-12)))

    def some(self, things: Sequence[T], count: int) -> list[T]:
        """Draw `count` different things, in drawn order."""
        left = list(things)
        return [left.pop(self.whole(0, len(left) - 1)) for _ in range(min(count, len(left)))]

    def identifier(self, prefix: str) -> str:
        """Return an id that says "sim", with the API's 24 characters after the underscore."""
        digits = hashlib.blake2b(b"id/" + self._name, digest_size=11).hexdigest()[:21]
        return f"{prefix}_sim{digits}"


def bell_pair(uniform: Callable[[], float]) -> tuple[float, float]:
    """Return two independent draws from the standard normal distribution.

    `uniform` draws from [0, 1).  The method is that of G. Box and M. Muller (1958): cheaper than
    two single draws, and the same in every version of Python.
    """
    turn = tau * uniform()
    radius = sqrt(-2.0 * log(1.0 - uniform()))
    return cos(turn) * radius, sin(turn) * radius

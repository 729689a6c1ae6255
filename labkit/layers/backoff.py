"""How long to wait before the next attempt: each kind of backoff as a small, pure object.

Every kind answers one question, ``delay(attempt, previous, dice)``, in seconds, and has no
memory, no clock and no dice of its own.  The rule they share: **jitter is drawn below the cap,
never capped afterwards**, or the clients that it scattered meet again at the cap.

>>> dice = random.Random(5)
>>> [round(FullJitter(base=1, cap=8).delay(attempt, 0, dice), 1) for attempt in range(6)]
[0.6, 1.5, 3.2, 7.5, 5.9, 7.4]

Formulas: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015, unless a
class names another source.  In them a is the attempt, b the base, c the cap, U(x, y) a uniform
draw, and e = min(c, b * 2^a).
"""

# ruff: noqa: ARG002 (all kinds share one signature; few need all of it)

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Protocol

__all__ = [
    "AdditiveJitter",
    "Backoff",
    "DecorrelatedJitter",
    "EqualJitter",
    "Exponential",
    "Fixed",
    "FullJitter",
    "SdkBackoff",
    "SmoothJitter",
    "honour",
]

STEEPEST = 1000
"""Attempts after which a curve rises no further: 2.0 ** 1024 would overflow a float."""


class Backoff(Protocol):
    """Anything that can say how long to wait before the next attempt."""

    def delay(self, attempt: int, previous: float, dice: random.Random) -> float:
        """Return the seconds to wait.

        `attempt` counts from 0: the attempts already made, minus one.  `previous` is the delay
        before the last attempt in seconds, 0 if there was none.
        """
        ...


@dataclass(frozen=True)
class Fixed:
    """The same wait every time: no growth and no jitter, so a herd stays a herd."""

    seconds: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.seconds < math.inf:
            raise ValueError(f"A wait must be 0 seconds or more, and finite, not {self.seconds}.")

    def delay(self, attempt: int, previous: float, dice: random.Random) -> float:
        """Return the fixed wait."""
        return self.seconds


@dataclass(frozen=True)
class _Growing:
    """What doubles from `base` seconds up to `cap` seconds."""

    base: float = 0.5
    cap: float = 30.0

    def __post_init__(self) -> None:
        if not 0 < self.base < math.inf:
            raise ValueError(f"The base must be above 0 seconds, and finite, not {self.base}.")
        if not self.base <= self.cap < math.inf:
            raise ValueError(
                f"The cap must be finite and at least the base of {self.base} s, not {self.cap}."
            )

    def ceiling(self, attempt: int) -> float:
        """Return e = min(cap, base * 2^attempt) in seconds, for any attempt from 0."""
        return min(self.cap, self.base * 2.0 ** min(attempt, STEEPEST))


class Exponential(_Growing):
    """e: grows, but every client that failed together returns together."""

    def delay(self, attempt: int, previous: float, dice: random.Random) -> float:
        """Return the ceiling itself."""
        return self.ceiling(attempt)


class FullJitter(_Growing):
    """U(0, e): the widest spread and the fewest contending calls; the one to start with."""

    def delay(self, attempt: int, previous: float, dice: random.Random) -> float:
        """Return a draw between nothing and the ceiling."""
        return dice.uniform(0, self.ceiling(attempt))


class EqualJitter(_Growing):
    """U(e/2, e): for callers who must never come back at once."""

    def delay(self, attempt: int, previous: float, dice: random.Random) -> float:
        """Return a draw from the upper half of the ceiling."""
        return dice.uniform(self.ceiling(attempt) / 2, self.ceiling(attempt))


class DecorrelatedJitter(_Growing):
    """U(b, min(c, 3 * previous)): grows from the last delay drawn instead of the attempt.

    The article caps after the draw, so once there, about two draws in three are the cap itself.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cap == self.base:
            raise ValueError(
                f"The cap must be above the base of {self.base} s to leave room to draw."
            )

    def delay(self, attempt: int, previous: float, dice: random.Random) -> float:
        """Return a draw between the base and three times the previous delay."""
        return dice.uniform(self.base, min(self.cap, 3 * max(previous, self.base)))


@dataclass(frozen=True)
class AdditiveJitter(_Growing):
    """min(c - s, b * 2^a) + U(0, s): a fixed spread s on top of a growing wait.

    stamina and tenacity's ``wait_exponential_jitter`` compute min(c, b * 2^a + U(0, s)).  Once
    b * 2^a passes the cap they throw the jitter away: with stamina's defaults every client waits
    exactly 5 s from the seventh attempt on.  Here the wait leaves room for the spread.
    """

    spread: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.spread <= self.cap - self.base:
            raise ValueError(
                f"The spread must be above 0 and fit between base and cap, not {self.spread} s."
            )

    def delay(self, attempt: int, previous: float, dice: random.Random) -> float:
        """Return a draw from the `spread` seconds above the growing wait."""
        low = min(self.ceiling(attempt), self.cap - self.spread)
        return dice.uniform(low, min(self.cap, low + self.spread))


class SmoothJitter(_Growing):
    """Polly's "decorrelated v2": bell-shaped draws, near the base at first, without spikes.

    (f(a + U) - f(a - 1 + U)) * b / 1.4, where f(t) = 2^t * tanh(sqrt(4t)) and f(t) = 0 below 0.
    Polly remembers the last f; this object has no memory and draws it afresh, so every delay is
    spread as Polly's is and only the tie between neighbours is lost.  Where the curve's highest
    value would pass the cap, the whole curve is scaled down to end there.
    """

    def delay(self, attempt: int, previous: float, dice: random.Random) -> float:
        """Return a draw from the smoothed curve."""
        step = min(attempt, STEEPEST)
        rise = _smooth(step + dice.random()) - _smooth(step - 1 + dice.random())
        highest = _smooth(step + 1) - _smooth(step - 1)
        return rise / highest * min(self.cap, highest * self.base / 1.4)


def _smooth(t: float) -> float:
    return 2.0**t * math.tanh(2 * math.sqrt(t)) if t > 0 else 0.0


@dataclass(frozen=True)
class SdkBackoff(_Growing):
    """min(8, 0.5 * 2^a) * U(0.75, 1): what the official SDK does by itself, jitter 25 % at most.

    Source: ``_calculate_retry_timeout`` of anthropic 2.12.
    """

    cap: float = 8.0

    def delay(self, attempt: int, previous: float, dice: random.Random) -> float:
        """Return the ceiling less a random quarter of it at most."""
        return self.ceiling(attempt) * (1 - 0.25 * dice.random())


def honour(retry_after: float, spread: float, cap: float, dice: random.Random) -> float | None:
    """Return the wait for a server's `retry-after`, None if it asks for more than `cap` seconds.

    The wait is what the server asked plus U(0, spread): never shorter, and a crowd that was told
    the same whole second does not come back as one.  It may pass the cap by the spread, since
    `cap` bounds what the server may ask.  None means: give up now and say so.
    """
    if not (0 <= spread < math.inf and cap >= 0):
        raise ValueError(f"Spread and cap must be 0 seconds or more, not {spread} and {cap}.")
    return None if retry_after > cap else max(0.0, retry_after) + dice.uniform(0, spread)

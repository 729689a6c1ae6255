"""Round numbers for an axis, and how they are written."""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["Axis", "around", "linear", "logarithmic"]

UNITS = ((1e9, "bn"), (1e6, "M"), (1e4, "k"))


class Axis(NamedTuple):
    """An axis that runs from its first tick to its last."""

    ticks: list[float]
    log: bool

    def share(self, value: float) -> float:
        """Say how far up the axis a value lies, from 0 to 1."""
        low, high = self.ticks[0], self.ticks[-1]
        if self.log:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    def value(self, share: float) -> float:
        """Return the value that lies so far up the axis."""
        low, high = self.ticks[0], self.ticks[-1]
        return low * (high / low) ** share if self.log else low + share * (high - low)

    def words(self) -> list[str]:
        """Write the ticks: in one manner on a linear axis, each by itself on a logarithmic one.

        >>> linear(0, 1.2).words(), logarithmic(0.01, 20_000).words()
        (['0', '0.5', '1.0', '1.5'], ['0.01', '0.1', '1', '10', '100', '1,000', '10k', '100k'])
        """
        if self.log:
            return [_written([tick])[0] for tick in self.ticks]
        return _written(self.ticks)


def _written(ticks: list[float]) -> list[str]:
    largest = max(map(abs, ticks))
    size, letter = next((unit for unit in UNITS if largest >= unit[0]), (1.0, ""))
    size = 1e3 if letter == "k" else size
    scaled = [tick / size for tick in ticks]
    places = (n for n in range(13) if all(math.isclose(x, round(x, n)) for x in scaled))
    form = f",.{next(places, 12)}f" if largest >= 1e-9 else ".3g"
    return [f"{x:{form}}{letter}" if x else "0" for x in scaled]


def linear(low: float, high: float, about: int = 5) -> Axis:
    """Cover low to high, and zero, in some `about` steps of 1, 2 or 5 times a power of ten.

    >>> linear(3, 97).ticks
    [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]
    """
    return around(min(low, 0.0), max(high, 0.0), about)


def around(low: float, high: float, about: int = 5) -> Axis:
    """Cover low to high as `linear` does, but without zero: for dots, whose place is no length.

    >>> around(71, 91).ticks
    [70.0, 75.0, 80.0, 85.0, 90.0, 95.0]
    """
    rough = (high - low) / about or 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    digits = 1 - math.floor(math.log10(step))
    return Axis([round(n * step, digits) for n in range(first, last + 1)], False)


def logarithmic(low: float, high: float) -> Axis:
    """Cover low to high, both above zero, by powers of ten, with 2 and 5 between where few.

    >>> logarithmic(0.3, 700).ticks
    [0.1, 1.0, 10.0, 100.0, 1000.0]
    """
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    powers = list(range(first, max(last, first + 1) + 1))
    if len(powers) > 3:
        every = -(-(len(powers) - 1) // 8)
        powers = list(range(first, powers[-1] + every, every))
        return Axis([_power(power) for power in powers], True)
    ticks = [n * _power(power) for power in powers[:-1] for n in (1, 2, 5)] + [_power(powers[-1])]
    start = max(n for n, tick in enumerate(ticks[:-1]) if tick <= low * 1.001)
    stop = min(n for n, tick in enumerate(ticks) if tick >= high * 0.999)
    return Axis(ticks[start : max(stop, start + 1) + 1], True)


def _power(power: int) -> float:
    return float(f"1e{power}")

"""How often somebody calls: a rate is calls a second as a function of time.

steady(100)                                    the same all the time
ramp(1, 50, over=600)                          ten minutes from one a second to fifty
daily(2, 40)                                   a day's wave
bursts(5, 80, every=60, length=10)             ten seconds of every minute
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, inf, pi

from labkit.errors import UserError
from labkit.sim.figures import need_numbers

__all__ = ["Rate", "bursts", "daily", "ramp", "steady"]


@dataclass(frozen=True, slots=True)
class Rate:
    """Calls a second as a function of time, and the most it ever is (which thinning needs).

    Raises UserError for a `most` that is not a number above zero.
    """

    at: Callable[[float], float]
    most: float

    def __post_init__(self) -> None:
        need_numbers("A rate", most=self.most)
        if not 0 < self.most < inf:
            raise UserError(f"A rate is above 0 calls a second, so it cannot be {self.most}.")


def steady(per_second: float) -> Rate:
    """The same rate all the time; raises UserError unless it is above zero."""
    return Rate(lambda _: per_second, per_second)


def ramp(start: float, end: float, *, over: float) -> Rate:
    """A rate that moves evenly from `start` to `end` within `over` seconds and stays there.

    Raises UserError unless `over` is above zero and both ends are not below it.
    """
    need_numbers("A ramp", start=start, end=end, over=over)
    if not (over > 0 and start >= 0 and end >= 0):
        raise UserError(f"A ramp from {start} to {end} calls a second over {over} s cannot be.")
    return Rate(lambda t: start + (end - start) * min(1.0, t / over), max(start, end))


def daily(low: float, high: float, *, peak_hour: float = 14.0) -> Rate:
    """A day's wave between `low` and `high`, highest at `peak_hour` (time 0 is midnight).

    Raises UserError unless 0 <= `low` <= `high`.
    """
    need_numbers("A day", low=low, high=high, peak_hour=peak_hour)
    if not 0 <= low <= high:
        raise UserError(f"A day lies between a low and a high, so not between {low} and {high}.")

    def at(seconds: float) -> float:
        phase = cos((seconds / 3600 - peak_hour) / 24 * 2 * pi)
        return low + (high - low) * (1 + phase) / 2

    return Rate(at, high)


def bursts(base: float, peak: float, *, every: float, length: float) -> Rate:
    """The base rate, and for `length` seconds at the start of every `every` seconds the peak.

    Raises UserError unless `every` is above zero and nothing is below.
    """
    need_numbers("Bursts", base=base, peak=peak, every=every, length=length)
    if not (every > 0 and length >= 0 and base >= 0 and peak >= 0):
        raise UserError(
            f"Bursts of {length} s every {every} s, {base} to {peak} a second, cannot be."
        )
    return Rate(lambda t: peak if t % every < length else base, max(base, peak))

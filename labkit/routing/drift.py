"""Drift: do today's scores still look like those that the threshold was chosen on?

A threshold holds for traffic like its calibration set.  The two samples are compared with the
test of A. Kolmogorov and N. Smirnov, which asks nothing about how scores are spread.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

__all__ = ["Drift", "drift"]


@dataclass(frozen=True, slots=True)
class Drift:
    """The largest distance between the two distributions, and what chance alone would explain."""

    distance: float
    limit: float

    @property
    def drifted(self) -> bool:
        """Whether it is time to calibrate again."""
        return self.distance > self.limit


def drift(
    calibration: Sequence[float], recent: Sequence[float], *, false_alarms: float = 0.01
) -> Drift:
    """Compare recent scores with those of the calibration set.

    `false_alarms` is how often samples of the same traffic are called different, at most.  Labels
    are not needed; a verifier that has become worse while its scores look the same is not seen,
    so have a few answers checked as well.  Raises ValueError for an empty sample.
    """
    if not calibration or not recent or not 0 < false_alarms < 1:
        raise ValueError("Drift is told by two samples and a share of false alarms.")
    one, two = sorted(calibration), sorted(recent)
    distance = max(
        abs(bisect_right(one, score) / len(one) - bisect_right(two, score) / len(two))
        for score in (*one, *two)
    )
    size = len(one) * len(two) / (len(one) + len(two))
    return Drift(distance, sqrt(-log(false_alarms / 2) / 2 / size))

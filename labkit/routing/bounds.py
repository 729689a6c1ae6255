"""How sure a share is that was counted in a sample: exact bounds, and an interval for a mean.

The bounds are those of C. Clopper and E. Pearson (1934): whatever the true share, they hold with
at least the confidence asked for, in small samples too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import exp, inf, lgamma, log, log1p

__all__ = ["at_least", "at_most", "bootstrap", "is_below"]

STEPS = 60
"""Halvings until a bound is exact to the last digit of a float."""


def at_most(hits: int, trials: int, confidence: float = 0.95) -> float:
    """Return the upper bound of a share that hit `hits` times in `trials` (1.0 without trials).

    Raises ValueError for what cannot have been counted.
    """
    _check(hits, trials, confidence)
    if hits == trials:
        return 1.0
    low, high = hits / trials, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _at_most_so_many(hits, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def at_least(hits: int, trials: int, confidence: float = 0.95) -> float:
    """Return the lower bound of a share that hit `hits` times in `trials` (0.0 without trials)."""
    return 1.0 - at_most(trials - hits, trials, confidence)


def is_below(hits: int, trials: int, share: float, confidence: float = 0.95) -> bool:
    """Say whether the true share is at most `share`, as far as the sample can tell.

    The same as asking whether `at_most` is, and sixty times quicker.
    """
    _check(hits, trials, confidence)
    return share >= 1 or _at_most_so_many(hits, trials, share) <= 1 - confidence


def bootstrap(
    figures: Sequence[float], *, confidence: float = 0.95, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return an interval for the mean of some figures, by drawing them again (B. Efron, 1979).

    Raises ValueError without figures.
    """
    if not figures:
        raise ValueError("Without figures there is no mean.")
    dice, size = random.Random(seed), len(figures)
    means = sorted(sum(dice.choices(figures, k=size)) / size for _ in range(rounds))
    cut = round((1 - confidence) / 2 * rounds)
    return means[cut], means[rounds - 1 - cut]


def _at_most_so_many(hits: int, trials: int, share: float) -> float:
    """Return the probability of `hits` or fewer in a binomial sample."""
    if share <= 0 or hits >= trials:
        return 1.0
    if share >= 1:
        return 0.0
    log_yes, log_no = log(share), log1p(-share)
    logs = [
        lgamma(trials + 1)
        - lgamma(k + 1)
        - lgamma(trials - k + 1)
        + k * log_yes
        + (trials - k) * log_no
        for k in range(hits + 1)
    ]
    most = max(logs, default=-inf)
    return min(1.0, exp(most) * sum(exp(each - most) for each in logs))


def _check(hits: int, trials: int, confidence: float) -> None:
    if not 0 <= hits <= trials or not 0 < confidence < 1:
        raise ValueError(f"{hits} of {trials} at a confidence of {confidence} makes no sense.")

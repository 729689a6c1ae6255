"""Simulated skill: which of several models would get a task right, and what a verifier thinks.

An assumption, not a measurement: a model of skill s solves a task of difficulty d with
probability 1 / (1 + exp(d - s)), and difficulties are normal.  A verifier of quality `auc` (the
probability that it scores a right answer above a wrong one) draws scores from two normal
distributions as far apart as that takes.  So `auc` 0.5 knows nothing and 1 would know all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import exp, sqrt
from statistics import NormalDist
from typing import NamedTuple

from labkit.errors import UserError

__all__ = ["Attempted", "attempted", "score"]

STANDARD = NormalDist()


class Attempted(NamedTuple):
    """What one model makes of one task: right or not, and the verifier's score from 0 to 1."""

    right: bool
    score: float


def score(right: bool, auc: float, dice: random.Random) -> float:
    """Draw the score of an answer; raises `UserError` unless `auc` is from 0.5 to below 1."""
    if not 0.5 <= auc < 1:
        raise UserError(f"A verifier's AUC is from 0.5 to below 1, not {auc}.")
    apart = sqrt(2) * STANDARD.inv_cdf(auc)
    return STANDARD.cdf(dice.gauss(0, 1) + (apart / 2 if right else -apart / 2))


def attempted(
    skills: Sequence[float], *, auc: float, tasks: int, spread: float = 2.0, seed: int = 0
) -> list[list[Attempted]]:
    """Have models of these skills try tasks of difficulties around 0: a list for each task.

    The answers of two models to one task depend on each other through its difficulty alone.
    """
    dice = random.Random(seed)
    rows = []
    for _ in range(tasks):
        difficulty = dice.gauss(0, spread)
        row = []
        for skill in skills:
            right = dice.random() < 1 / (1 + exp(difficulty - skill))
            row.append(Attempted(right, score(right, auc, dice)))
        rows.append(row)
    return rows

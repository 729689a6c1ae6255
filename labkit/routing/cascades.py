"""A cascade on paper: cheap model first, a verifier's score decides who goes on to the next.

The cheap call is always paid, so what a cascade saves depends on the verifier more than on
prices (resilience.md 2.7).  A threshold is chosen on a calibration set, by a bound on the harm:
answers that were accepted, are wrong, and would have been right from the strongest model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from labkit.routing.bounds import at_most, is_below

__all__ = ["Case", "Choice", "Played", "Point", "Tried", "choose_thresholds", "coverage", "play"]

CANDIDATES = 200


@dataclass(frozen=True, slots=True)
class Tried:
    """What one model makes of one task: right or not, the verifier's score, dollars, seconds."""

    right: bool
    score: float
    dollars: float
    seconds: float = 0.0


Case: TypeAlias = Sequence[Tried]
"""One task, tried with every model of the cascade, cheapest first, strongest last."""


@dataclass(frozen=True, slots=True)
class Played:
    """What a cascade comes to, per task: share of right answers, dollars, seconds.

    `shares` says which part of the tasks each model had the last word in.
    """

    quality: float
    dollars: float
    seconds: float
    shares: tuple[float, ...]


def play(cases: Sequence[Case], thresholds: Sequence[float]) -> Played:
    """Play a cascade: the first model whose score is at least its threshold has the last word.

    There is a threshold for every model but the last.  Raises ValueError without cases, or for
    another number of thresholds.
    """
    if not cases or any(len(case) != len(thresholds) + 1 for case in cases):
        raise ValueError("A cascade has cases, and a threshold for every model but the last.")
    ends = [_end(case, thresholds) for case in cases]
    size = len(cases)
    pairs = list(zip(cases, ends, strict=True))
    return Played(
        quality=sum(case[end].right for case, end in pairs) / size,
        dollars=sum(tried.dollars for case, end in pairs for tried in case[: end + 1]) / size,
        seconds=sum(tried.seconds for case, end in pairs for tried in case[: end + 1]) / size,
        shares=tuple(ends.count(step) / size for step in range(len(thresholds) + 1)),
    )


def _end(case: Case, thresholds: Sequence[float]) -> int:
    passed = (step for step, least in enumerate(thresholds) if case[step].score >= least)
    return next(passed, len(thresholds))


@dataclass(frozen=True, slots=True)
class Point:
    """Risk against coverage at one threshold.

    `coverage` is the share of answers accepted, `risk` the share of wrong ones among them, and
    `risk_at_most` its upper bound.
    """

    threshold: float
    coverage: float
    risk: float
    risk_at_most: float


def coverage(
    scores: Sequence[float], right: Sequence[bool], *, confidence: float = 0.95, points: int = 50
) -> list[Point]:
    """Return the curve of risk against coverage of one model's answers, strictest point first."""
    ranked = sorted(zip(scores, right, strict=True), key=lambda pair: -pair[0])
    found = []
    for threshold in _candidates(scores, points):
        accepted = [fine for score, fine in ranked if score >= threshold]
        wrong = accepted.count(False)
        most = at_most(wrong, len(accepted), confidence)
        share = len(accepted) / len(ranked)
        found.append(Point(threshold, share, wrong / len(accepted), most))
    return found


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen threshold (`inf`: accept nothing), and what it did on the calibration set.

    `harms` of `cases` were accepted, wrong, and right from the strongest model; `harm_at_most` is
    the bound of their share in all traffic.
    """

    threshold: float
    accepted: float
    harms: int
    cases: int
    harm_at_most: float


def choose_thresholds(
    cases: Sequence[Case], *, most_harm: float, confidence: float = 0.95
) -> list[Choice]:
    """Choose a threshold for every model but the last, so that harm stays within `most_harm`.

    Harm is a share of all tasks; it is split evenly among the models, and so is the doubt.  From
    the strictest threshold on, each looser one must pass the test, and the first that fails ends
    the search (fixed-sequence testing: A. Angelopoulos and others, "Learn then Test", 2021).  So
    the bound holds for the threshold chosen, although many were tried.  Raises ValueError without
    cases or models to choose between.
    """
    steps = len(cases[0]) - 1 if cases else 0
    if steps < 1:
        raise ValueError("There is nothing to choose: name cases with two models at least.")
    sure = 1 - (1 - confidence) / steps
    left, choices = list(cases), []
    for step in range(steps):
        choice = _choose(left, step, len(cases), most_harm / steps, sure)
        choices.append(choice)
        left = [case for case in left if case[step].score < choice.threshold]
    return choices


def _choose(cases: Sequence[Case], step: int, every: int, most: float, sure: float) -> Choice:
    best = Choice(inf, 0.0, 0, every, at_most(0, every, sure))
    ranked = sorted(cases, key=lambda case: -case[step].score)
    accepted = harms = 0
    for threshold in _candidates([case[step].score for case in cases], CANDIDATES):
        while accepted < len(ranked) and ranked[accepted][step].score >= threshold:
            harms += ranked[accepted][-1].right and not ranked[accepted][step].right
            accepted += 1
        if not is_below(harms, every, most, sure):
            break
        bound = at_most(harms, every, sure)
        best = Choice(threshold, accepted / every, harms, every, bound)
    return best


def _candidates(scores: Iterable[float], points: int) -> list[float]:
    """Return some of the scores as thresholds, evenly spread over the cases, strictest first."""
    ranked = sorted(scores, reverse=True)
    places = {round((place + 1) * len(ranked) / points) - 1 for place in range(points)}
    return sorted({ranked[place] for place in places if place >= 0}, reverse=True)

"""When two questions count as one: similar vectors, and no guard that keeps them apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

from labkit.layers.embedding import Embedding, cosine, hashed_words
from labkit.layers.meaning_guards import guarded, shared_start

__all__ = ["FalseHits", "Likeness", "Pair", "false_hits", "wilson"]


class Likeness(NamedTuple):
    """An embedding, and whether the guards are on: only to see what they are for are they off."""

    embed: Embedding = hashed_words
    guards: bool = True

    def objection(self, one: str, other: str, threshold: float, template: str = "") -> str:
        """Return what keeps two questions apart, "" if they count as one.

        `template` is what both begin with for no reason of their own; with the guards on it is
        left out of the comparison.
        """
        if one == other:
            return ""
        if self.guards and (guard := guarded(one, other)):
            return f"their {guard} differ"
        if self.guards:
            one, other = one.removeprefix(template), other.removeprefix(template)
        score = cosine(self.embed(one), self.embed(other))
        return "" if score >= threshold else f"the nearest is alike by {score:.2f} only"


class Pair(NamedTuple):
    """Two questions, and whether one answer is right for both: labelled by a person."""

    one: str
    other: str
    same: bool


@dataclass(frozen=True, slots=True)
class FalseHits:
    """What a semantic cache would do with labelled pairs.

    `rate` is the share of hits that give a wrong answer, `low` and `high` its 95 % interval
    (Wilson); without a hit nothing is known, so from 0 to 1.  `found` is the share of the pairs
    with one answer that are hits.
    """

    hits: int
    false: int
    rate: float
    low: float
    high: float
    found: float


def false_hits(pairs: Iterable[Pair], likeness: Likeness, threshold: float) -> FalseHits:
    """Measure how often a hit would be wrong, on pairs such as the program will see.

    What all of the pairs' questions begin with counts as their template.
    """
    told = list(pairs)
    template = shared_start(text for pair in told for text in (pair.one, pair.other))
    hit = [
        pair for pair in told if not likeness.objection(pair.one, pair.other, threshold, template)
    ]
    false, same = sum(not pair.same for pair in hit), sum(pair.same for pair in told)
    low, high = wilson(false, len(hit))
    rate = false / len(hit) if hit else 0.0
    found = (len(hit) - false) / same if same else 0.0
    return FalseHits(len(hit), false, rate, low, high, found)


def wilson(count: int, of: int, z: float = 1.96) -> tuple[float, float]:
    """Return the score interval of a share, 95 % by default (E. Wilson, 1927).

    Raises ValueError unless 0 <= count <= of.

    >>> [round(end, 3) for end in wilson(0, 20)]
    [0.0, 0.161]
    """
    if not 0 <= count <= of:
        raise ValueError(f"{count} of {of} is no share.")
    if of == 0:
        return 0.0, 1.0
    share, square = count / of, z * z / of
    middle = share + square / 2
    spread = z * sqrt(share * (1 - share) / of + square / (4 * of))
    low, high = ((middle + side * spread) / (1 + square) for side in (-1, 1))
    return max(0.0, min(share, low)), min(1.0, max(share, high))  # rounding must not cross it

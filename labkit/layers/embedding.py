"""Text as a vector: what a semantic cache needs of an embedding, and one that needs no model.

The default counts words and pairs of neighbouring words, hashed into a fixed number of places (K.
Weinberger and others, 2009), so it sees shared words and nothing of their meaning.  A real
embedding model is any function of the same shape.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import pairwise
from math import sqrt
from typing import TypeAlias

__all__ = ["Embedding", "cosine", "hashed_words"]

Embedding: TypeAlias = Callable[[str], Sequence[float]]
"""A text's vector; the same length for every text."""
PLACES = 512
WORD = re.compile(r"\w+")


def hashed_words(text: str) -> tuple[float, ...]:
    """Return the unit vector of a text's words and pairs of words; all zeros for no words."""
    words = WORD.findall(text.casefold())
    pairs = [" ".join(pair) for pair in pairwise(words)]
    vector = [0.0] * PLACES
    for feature in [*words, *pairs]:
        drawn = int.from_bytes(blake2b(feature.encode(), digest_size=4).digest())
        vector[drawn // 2 % PLACES] += 1.0 if drawn % 2 else -1.0
    length = sqrt(sum(part * part for part in vector))
    return tuple(part / length for part in vector) if length else tuple(vector)


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors, 0 where one of them is all zeros.

    Raises ValueError for vectors of different lengths.
    """
    product = sum(a * b for a, b in zip(one, other, strict=True))
    lengths = sqrt(sum(a * a for a in one)) * sqrt(sum(b * b for b in other))
    return product / lengths if lengths else 0.0

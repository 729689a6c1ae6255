"""How long a simulated answer takes: time to the first token, then tokens per second.

Anthropic publishes no such figures for the current models (claude-api.md 10 and 13), so the
parameters below are **assumed**: their order is that of the published labels (Fastest, Fast,
Moderate) and their size that of older third-party measurements quoted there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ASSUMED", "SPREAD", "USUAL", "Speed"]


@dataclass(frozen=True, slots=True)
class Speed:
    """Assumed speed of a line of models.

    `first_token_s` is the median time to the first token of a short prompt,
    `per_1000_prompt_tokens_s` what each thousand prompt tokens add to it, and
    `tokens_per_second` the median pace of the answer.
    """

    first_token_s: float
    per_1000_prompt_tokens_s: float
    tokens_per_second: float


ASSUMED: Mapping[str, Speed] = {
    "haiku": Speed(0.45, 0.006, 150.0),
    "sonnet": Speed(0.9, 0.010, 75.0),
    "opus": Speed(1.5, 0.014, 50.0),
    "fable": Speed(1.8, 0.016, 45.0),
    "mythos": Speed(1.8, 0.016, 45.0),
}
USUAL = ASSUMED["sonnet"]
"""For a model of an unknown line."""
SPREAD = 0.2
"""Assumed spread of both figures: the sigma of a log-normal factor with median 1."""

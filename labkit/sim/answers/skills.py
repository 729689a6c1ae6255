"""How well each line of models does its simulated work.

All figures are **assumed**: they are made up so that a stronger model is right more often and
forgets less, as it is in life, and nothing may be concluded from them about real models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from labkit.catalog import model
from labkit.errors import UnknownModel

__all__ = ["SKILLS", "Skill", "skill_of"]


@dataclass(frozen=True, slots=True)
class Skill:
    """What one line of models can do.

    `right` is the share of classifications and sums that it gets right.  A summary keeps the
    `facts_kept` newest facts at most, and loses each of those with the chance `fact_loss`.
    """

    right: float
    facts_kept: int
    fact_loss: float


SKILLS: Mapping[str, Skill] = MappingProxyType(
    {
        "haiku": Skill(right=0.80, facts_kept=6, fact_loss=0.10),
        "sonnet": Skill(right=0.92, facts_kept=12, fact_loss=0.05),
        "opus": Skill(right=0.97, facts_kept=24, fact_loss=0.02),
        "fable": Skill(right=0.98, facts_kept=32, fact_loss=0.01),
        "mythos": Skill(right=0.98, facts_kept=32, fact_loss=0.01),
    }
)
"""By line of models; a line that is not here does like Sonnet."""


def skill_of(model_name: str, skills: Mapping[str, Skill] = SKILLS) -> Skill:
    """Return the skill of a model, by its line; an unknown one does like Sonnet."""
    try:
        line = model(model_name).line
    except UnknownModel:
        line = "sonnet"
    return skills.get(line) or skills.get("sonnet", SKILLS["sonnet"])

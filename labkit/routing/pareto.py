"""The Pareto front: the choices that no other one beats in quality, cost and time at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Option", "front"]


@dataclass(frozen=True, slots=True)
class Option:
    """One way to do a task: `quality` (more is better), `dollars` and `seconds` (less is)."""

    name: str
    quality: float
    dollars: float
    seconds: float = 0.0

    def beats(self, other: Option) -> bool:
        """Say whether it is as good in everything and better in something."""
        one = self.quality, -self.dollars, -self.seconds
        two = other.quality, -other.dollars, -other.seconds
        return one != two and all(mine >= theirs for mine, theirs in zip(one, two, strict=True))


def front(options: Sequence[Option]) -> list[Option]:
    """Return the options that nobody beats, cheapest first; a frame of them suits `scatter`."""
    best = [option for option in options if not any(other.beats(option) for other in options)]
    return sorted(best, key=lambda option: (option.dollars, option.seconds))

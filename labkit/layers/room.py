"""Room for so many calls at once, of which the less important may take only a part.

Each priority has a water mark, a share of the room.  A call is let in while less is taken than
its mark allows.  Marks rise with priority, so the lowest is turned away first, and the highest
never while a lower one would be let in.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["MARKS", "Room"]

MARKS: Mapping[str, float] = {"batch": 0.6, "normal": 0.85, "critical": 1.0}
"""From the least important to the most, with the share of the room each may fill."""
NEWEST = 0.1
"""Weight of the latest call in the mean time that calls take."""
GUESS_S = 1.0
"""Seconds a call takes, as long as none has ended."""


class Room:
    """Counts the calls inside and knows who may still come in; one may serve many layers.

    Raises ValueError unless there is room for a call and marks rise from above 0 to at most 1.
    """

    def __init__(self, calls: int, marks: Mapping[str, float] = MARKS) -> None:
        shares = list(marks.values())
        rising = shares and shares[0] > 0 and shares == sorted(shares) and shares[-1] <= 1
        if calls < 1 or not rising:
            raise ValueError("Room is for at least one call, with marks rising within (0, 1].")
        self.calls = calls
        self.marks = dict(marks)
        self.inside = 0
        self.mean_s: float | None = None

    def enter(self, priority: str) -> float | None:
        """Let a call in and return None, or return the seconds until there is probably room.

        The estimate is Little's law: calls inside leave at the rate of inside / mean time.
        Raises KeyError for a priority without a mark.
        """
        room = max(1.0, self.marks[priority] * self.calls)
        if self.inside + 1 <= room:
            self.inside += 1
            return None
        mean = GUESS_S if self.mean_s is None else self.mean_s
        return mean * (self.inside + 1 - room) / self.inside

    def leave(self, took_s: float | None = None) -> None:
        """Let a call out; `took_s` is how long it was inside, None if it was cut short."""
        self.inside -= 1
        if took_s is not None:
            mean = took_s if self.mean_s is None else self.mean_s
            self.mean_s = mean + NEWEST * (took_s - mean)

"""A waiting line that is fair between tenants: nobody waits behind another tenant's whole crowd.

Self-clocked fair queueing (S. Golestani, 1994): each call gets a tag, its tenant's latest tag
plus what the call costs, and the lowest tag goes first.  A newcomer's tag begins at that of the
call served last, so a quiet tenant saves up no privilege and a busy one no debt.  Calls of one
tenant keep their order, as long as none of them gives up.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import NamedTuple, TypeAlias

__all__ = ["Amounts", "Line", "Tag"]

FORGETFUL = 1_000
"""Tenants remembered before those are forgotten whose tags no longer matter."""
Tag: TypeAlias = tuple[float, int]
"""(finish time in a fair queue, in seconds of the limit that binds; number of arrival)."""


class Amounts(NamedTuple):
    """Requests, input tokens and output tokens: of one call, or of all calls ahead of one."""

    requests: float
    input: float
    output: float


class Line:
    """The calls that wait, by their tags in order (`waiting`), and what they want."""

    def __init__(self) -> None:
        self.waiting: list[Tag] = []
        self._inputs: list[float] = []
        self._outputs: list[float] = []
        self._latest: dict[str, float] = {}
        self._served = 0.0
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self.waiting)

    def join(self, tenant: str, amounts: Amounts, cost: float) -> Tag:
        """Stand in line and return the tag; `cost` is in seconds of the limit that binds."""
        self._arrivals += 1
        finish = max(self._served, self._latest.get(tenant, 0.0)) + cost
        self._latest[tenant] = finish
        tag = (finish, self._arrivals)
        place = bisect_left(self.waiting, tag)
        insort(self.waiting, tag)
        self._inputs.insert(place, amounts.input)
        self._outputs.insert(place, amounts.output)
        return tag

    def ahead(self, tag: Tag) -> Amounts:
        """Return what all those want whose turn comes before this one's."""
        place = bisect_left(self.waiting, tag)
        return Amounts(place, sum(self._inputs[:place]), sum(self._outputs[:place]))

    def served(self, tag: Tag) -> None:
        """Leave the line because it was one's turn."""
        self._remove(tag)
        self._served = max(self._served, tag[0])
        if not self.waiting:
            self._served = 0.0
            self._latest.clear()
        elif len(self._latest) > FORGETFUL + len(self.waiting):
            alive = {name: at for name, at in self._latest.items() if at > self._served}
            self._latest = alive

    def abandoned(self, tenant: str, tag: Tag, cost: float) -> None:
        """Leave the line without a turn, which costs the tenant nothing."""
        self._remove(tag)
        if tenant in self._latest:
            self._latest[tenant] -= cost

    def _remove(self, tag: Tag) -> None:
        place = bisect_left(self.waiting, tag)
        del self.waiting[place], self._inputs[place], self._outputs[place]

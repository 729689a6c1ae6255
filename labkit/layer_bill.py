"""A ledger's bill by layer: what the calls cost on which each layer has left a note.

A call may bear several layers' notes and is then in several rows, so rows do not add up to the
bill.  What a lost attempt or a hedge's loser cost is in no call's price; a `Budget` knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from labkit.calls import Call
from labkit.pricing import total

__all__ = ["LayerBill", "by_layer"]

NOTE = re.compile(r"(?:^|; )(\w+)\(")
NONE = "no layer"


@dataclass(frozen=True, slots=True)
class LayerBill:
    """The calls with one kind of note: dollars where known, attempts, and calls of unknown price.

    `incomplete` counts those whose price leaves something out, as their note on it says.
    """

    note: str
    calls: int
    attempts: int
    dollars: Decimal
    unknown: int
    incomplete: int


def by_layer(calls: Iterable[Call]) -> list[LayerBill]:
    """Return one row for each kind of note, such as "retry" or "route", the dearest first."""
    noted: dict[str, list[Call]] = {}
    for call in calls:
        for name in dict.fromkeys(NOTE.findall(call.layers)) or (NONE,):
            noted.setdefault(name, []).append(call)
    rows = [_row(name, found) for name, found in noted.items()]
    return sorted(rows, key=lambda row: -row.dollars)


def _row(name: str, calls: list[Call]) -> LayerBill:
    known = [call.cost_usd for call in calls if call.cost_usd is not None]
    return LayerBill(
        note=name,
        calls=len(calls),
        attempts=sum(call.attempts for call in calls),
        dollars=total(known),
        unknown=len(calls) - len(known),
        incomplete=sum(call.cost_note.startswith("without") for call in calls),
    )

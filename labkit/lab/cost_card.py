"""What running a lesson costs, worked out from its recordings at the catalogue's list prices.

The estimate prices what the recorded requests used.  The bound is the live budget to give, and
live mode refuses to cross it: twice the recorded requests at their worst, because a live
conversation may grow longer than the recorded one, rounded up to a whole cent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from labkit.flow import Request
from labkit.lab.places import project_root
from labkit.layers.worst_case import FREE_PATHS, worst_case
from labkit.money_text import money
from labkit.pricing import total

if TYPE_CHECKING:
    from labkit.lab.session import Lab

__all__ = ["CostCard", "cost_card"]

CENT = Decimal("0.01")
MARGIN = 2


@dataclass(frozen=True, slots=True)
class CostCard:
    """What a lesson takes: `minutes` to read and run, and dollars if it is run live.

    `about` is the price of what the recorded requests used, `never_above` the budget that lets
    all of them through; both are None for a lesson without recordings.
    """

    minutes: int
    about: Decimal | None
    never_above: Decimal | None

    def __repr__(self) -> str:
        # Text alone: JupyterLab would read the dollar signs of HTML as mathematics.
        live = "known once the lesson is recorded"
        if self.about is not None and self.never_above is not None:
            bound = f"{self.never_above:.2f}"
            live = f"about {money(self.about)}; with LABKIT_BUDGET={bound} never above ${bound}"
        rows = {"time": f"about {self.minutes} minutes", "replay, simulate": "$0", "live": live}
        return "\n".join(f"{label:<18}{words}" for label, words in rows.items())


def cost_card(lab: Lab, *, minutes: int, live: Sequence[str] | None = None) -> CostCard:
    """Return the card of a lab's lesson, from the cassettes that are in the project now.

    `live` names the only cassettes whose calls go to the real API in live mode, where the other
    scenes are scripted; by default they all do.
    """
    folder = project_root() / "cassettes" / lab.lesson
    paths = [path for path in sorted(folder.glob("*.yaml")) if live is None or path.stem in live]
    if not paths:
        return CostCard(minutes, None, None)
    from labkit.recorded import read

    used = total(call.cost_usd for call in read(paths).calls if call.cost_usd is not None)
    worst = total(worst_case(request) for path in paths for request in _requests(path))
    return CostCard(minutes, used, (MARGIN * worst).quantize(CENT, rounding=ROUND_CEILING))


def _requests(path: Path) -> Iterator[Request]:
    """Read the requests of a cassette that can cost anything."""
    from labkit.lab.cassette import read_cassette

    for each in read_cassette(path).requests:
        place = urlsplit(each.uri).path
        if each.method == "POST" and place not in FREE_PATHS:
            yield Request(body=json.loads(each.body), path=place, method=each.method)

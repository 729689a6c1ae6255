"""Where a cassette comes from: who answered, when, under which versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from labkit.pricing import total

__all__ = ["made_by", "provenance", "used"]

SIMULATOR = "labkit's simulated API"
REAL = "the real Claude API"
UNKNOWN = "somebody"


def provenance(*, from_api: bool, seed: int) -> dict[str, Any]:
    """Return what is stored with a cassette that is recorded now."""
    story: dict[str, Any] = {
        "answered_by": REAL if from_api else SIMULATOR,
        "recorded_on": datetime.now(UTC).date().isoformat(),
        "anthropic": version("anthropic"),
        "labkit": version("labkit"),
    }
    if not from_api:
        story["seed"] = seed
    return story


def used(exchanges: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the models of recorded exchanges and their price in dollars, as far as it is known.

    It is the list price: what the simulator says was used cost nobody anything.
    """
    from labkit.recorded.exchange import exchanges as read
    from labkit.recorded.rows import rows_of_exchange

    found = [each for each in read({"interactions": list(exchanges)}) or () if each is not None]
    rows = [row for each in found for row in rows_of_exchange(each, "", 0)]
    known = [row.cost_usd for row in rows if row.cost_usd is not None]
    return {
        "models": sorted({row.model for row in rows if row.model is not None}),
        "list_price_usd": f"{total(known):f}",
        "calls_without_price": len(rows) - len(known),
    }


def made_by(folder: Path) -> str:
    """Say in a few words who made the cassettes of a folder."""
    makers = {_maker(path) for path in sorted(folder.glob("*.yaml"))}
    if makers == {SIMULATOR}:
        return "made with the simulator"
    if makers == {REAL}:
        return "of the real API"
    if UNKNOWN in makers:
        return "of unknown makers"
    return "of several makers" if makers else "of nothing yet"


def _maker(path: Path) -> str:
    """Read one cassette's maker, which stands at the end of the file, below long exchanges."""
    try:
        tail = path.read_text(encoding="utf-8").rpartition("\nmetadata:\n")[2]
        story = yaml.safe_load(f"metadata:\n{tail}")["metadata"]["provenance"]
        return str(story["answered_by"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return UNKNOWN

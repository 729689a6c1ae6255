"""Where a cassette comes from: who answered, when, under which versions."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

__all__ = ["made_by", "provenance"]

SIMULATOR = "labkit's simulated API"
REAL = "the real Claude API"


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


def made_by(folder: Path) -> str:
    """Say in a few words who made the cassettes of a folder."""
    makers = set()
    for path in sorted(folder.glob("*.yaml")):
        with path.open(encoding="utf-8") as file:
            # Provenance stands at the end of the file, below the (long) exchanges.
            tail = file.read().rpartition("\nmetadata:\n")[2]
        try:
            story = yaml.safe_load(f"metadata:\n{tail}")["metadata"]
            makers.add(story["provenance"]["answered_by"])
        except (yaml.YAMLError, KeyError, TypeError):
            makers.add("makers unknown")
    if makers == {SIMULATOR}:
        return "made with the simulator"
    if makers == {REAL}:
        return "of the real API"
    return "of several makers" if makers else "of nothing yet"

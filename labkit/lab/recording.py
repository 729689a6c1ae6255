"""Record a lesson: run it, and put its new cassettes in place once all of it has worked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from labkit.errors import UserError
from labkit.lab.money import api_key
from labkit.lab.notebooks import execute, read, unattended
from labkit.lab.places import project_root
from labkit.lab.staging import VARIABLE, spent_in, staging, unfinished
from labkit.pricing import total

__all__ = ["LiveBudget", "record"]


@dataclass(slots=True)
class LiveBudget:
    """The dollars left for recording from the real API, for all notebooks together."""

    left: Decimal


def record(path: Path, live: LiveBudget | None = None) -> list[Path]:
    """Run a notebook in record mode and replace its cassettes; return the new files.

    Until all of it has worked everything is written to a folder beside them, so a run that fails
    or is killed leaves the old cassettes whole.  `live` records from the real API and is told
    what was spent.  Raises `UserError` where nothing, or not everything, was recorded.
    """
    cassettes = project_root() / "cassettes"
    with staging(cassettes) as folder:
        extra = {"LABKIT_MODE": "record", VARIABLE: str(folder)}
        if live is not None:
            if live.left <= 0:
                raise UserError(f"Nothing is left of the budget, so {path.name} was not run.")
            extra |= {"LABKIT_RECORD_FROM": "api", "ANTHROPIC_API_KEY": api_key()}
            extra |= {"LABKIT_BUDGET": str(live.left)}
        try:
            execute(read(path), path, unattended(**extra))
        finally:
            if live is not None:
                live.left = _what_is_left(live.left, folder)
        made = sorted(folder.glob("*/*.yaml"))
        if unfinished(folder):
            raise UserError(f"{path.name} ended before all was written, so nothing was replaced.")
        if not made:
            raise UserError(f"{path.name} made no client with a cassette, so nothing was recorded.")
        return _put_in_place(made, cassettes)


def _what_is_left(before: Decimal, folder: Path) -> Decimal:
    """Return what is left of a budget; a bench that never said what it spent may have spent all."""
    return Decimal(0) if unfinished(folder) else total([before, -spent_in(folder)])


def _put_in_place(made: Sequence[Path], cassettes: Path) -> list[Path]:
    placed = []
    for file in made:
        target = cassettes / file.parent.name / file.name
        target.parent.mkdir(exist_ok=True)
        placed.append(file.replace(target))
    for folder in {path.parent for path in placed}:
        for old in set(folder.glob("*.yaml")) - set(placed):
            old.unlink()
    return placed

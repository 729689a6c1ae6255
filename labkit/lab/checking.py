"""Check, update or record several notebooks, showing how far it has got."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from labkit.errors import UserError
from labkit.lab.money import api_key, dollars
from labkit.lab.notebooks import differences, find, update
from labkit.lab.places import chosen_mode
from labkit.lab.recording import LiveBudget, record

__all__ = ["check_all", "record_all"]

MOST_LINES = 60


def check_all(names: Sequence[str], *, update: bool) -> int:
    """Check (or update) the notebooks named; return 0 if all is well, 1 if an output differs.

    Raises `CassetteBroken` for a recording that cannot be played, and `UserError` for a name
    that fits nothing or a mode that does not exist.
    """
    chosen_mode(None)
    doing, work = ("updating", _refresh) if update else ("checking", differences)
    return _each(find(names), doing, work)


def record_all(names: Sequence[str], *, live: bool, budget: str | None) -> int:
    """Record the lessons named; return 0, or 1 if one of them made no recording.

    `budget` is for all of them together.  Exercises have no recordings: their checks face the
    simulated API.  Raises `UserError` for `live` without a key or a budget.
    """
    chosen_mode(None)
    money = None
    if live:
        api_key()
        money = LiveBudget(dollars(budget))
    return _each(find(names, exercises=False), "recording", lambda path: _tape(path, money))


def _refresh(path: Path) -> str:
    update(path)
    return ""


def _tape(path: Path, money: LiveBudget | None) -> str:
    record(path, money)
    return ""


def _each(paths: Sequence[Path], doing: str, work: Callable[[Path], str]) -> int:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    if not paths:
        raise UserError("There are no notebooks here.")
    console = Console(highlight=False)
    failed = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(doing, total=len(paths))
        for path in paths:
            name = path.stem if path.stem != "exercise" else f"exercise {path.parent.name}"
            progress.update(task, description=f"{doing} {name}")
            began = time.monotonic()
            try:
                trouble = work(path)
            except UserError as error:
                trouble = str(error)
            verdict = "[red]failed[/]" if trouble else "[green]ok[/]"
            progress.console.print(f"{verdict}  {name}  {time.monotonic() - began:.1f} s")
            if trouble:
                failed += 1
                last_lines = "\n".join(trouble.splitlines()[-MOST_LINES:])
                progress.console.print(last_lines, markup=False)
            progress.advance(task)
    console.print(f"{len(paths) - failed} of {len(paths)} notebooks: ok")
    return 1 if failed else 0

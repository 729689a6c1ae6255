"""Where exercises live: their sources, the learner's own copy, and how far the learner has got.

All that is the learner's own lies beside the exercise and begins with "my-", which git ignores.
"""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

from labkit.errors import UserError
from labkit.lab.exercise_model import Exercise
from labkit.lab.exercise_notebook import OWN_COPY
from labkit.lab.exercise_source import read_exercise
from labkit.lab.places import project_root

__all__ = ["all_exercises", "find_exercise", "mark_passed", "notebook_of", "start", "state"]

SOURCE = "exercise.py"
PASSED = "my-passed"


def _sources() -> list[Path]:
    return sorted((project_root() / "exercises").glob(f"*/{SOURCE}"))


def all_exercises() -> list[Exercise]:
    """Return all exercises in order."""
    return [read_exercise(path) for path in _sources()]


def find_exercise(name: str) -> Exercise:
    """Return an exercise by number ("5", "05") or name ("05-retry"); `UserError` if none fits."""
    numbered = name.zfill(2) if name.isdecimal() else name
    for path in _sources():
        if numbered in (path.parent.name, path.parent.name.partition("-")[0]):
            return read_exercise(path)
    there = ", ".join(path.parent.name for path in _sources()) or "none here"
    raise UserError(f"There is no exercise {name!r}. The exercises are: {there}.")


def _own(exercise: Exercise, note: str = "") -> Path:
    return exercise.folder / f"my-{exercise.folder.name}{note}.ipynb"


def notebook_of(exercise: Exercise) -> Path:
    """Return the learner's own notebook, or the exercise as it is delivered if there is none."""
    own = _own(exercise)
    return own if own.exists() else exercise.folder / "exercise.ipynb"


def start(exercise: Exercise, *, over: bool = False) -> tuple[Path, Path | None]:
    """Copy the exercise for the learner; return the copy and the backup of an earlier one.

    Never overwrites: raises `UserError` if there is a copy, and with `over` moves it aside.
    """
    notebook, own = _delivered(exercise), _own(exercise)
    backup = None
    if over and own.exists():
        backup = next(path for n in count(1) if not (path := _own(exercise, f"-{n}")).exists())
        own.rename(backup)
        (exercise.folder / PASSED).unlink(missing_ok=True)
    try:
        with own.open("x", encoding="utf-8") as copy:
            json.dump(notebook, copy, indent=1, ensure_ascii=False)
    except FileExistsError:
        raise UserError(
            f"You have begun already: your work is in exercises/{own.parent.name}/{own.name}. "
            f"To begin anew and keep it as a backup: labkit exercise start {exercise.number} --over"
        ) from None
    return own, backup


def _delivered(exercise: Exercise) -> dict[str, Any]:
    """Return the exercise's notebook without the cell that advises to copy it."""
    path = exercise.folder / "exercise.ipynb"
    try:
        notebook: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UserError(
            f"{path.parent.name}/{path.name} is missing or broken. "
            f"Make it with: labkit check --update {exercise.number}"
        ) from None
    cells = [cell for cell in notebook["cells"] if cell.get("id") != OWN_COPY]
    return {**notebook, "cells": cells}


def mark_passed(exercise: Exercise) -> None:
    """Remember that the learner's answer has passed."""
    text = f"The answer to exercise {exercise.number} has passed its checks.\n"
    (exercise.folder / PASSED).write_text(text, encoding="utf-8")


def state(exercise: Exercise) -> str:
    """Return "passed", "in progress" or "not started"."""
    if (exercise.folder / PASSED).exists():
        return "passed"
    return "in progress" if _own(exercise).exists() else "not started"

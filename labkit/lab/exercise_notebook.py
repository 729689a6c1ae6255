"""Make an exercise's notebook from its source, and tell whether the two are in step.

Only the outputs are the notebook's own: `labkit check --update` writes the cells anew and runs
them, `labkit check` and the tests refuse a notebook whose cells differ from the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from labkit.lab.exercise_model import Exercise
from labkit.lab.exercise_source import read_exercise

__all__ = ["OWN_COPY", "build", "in_step", "source_of"]

OWN_COPY = "own-copy"
"""The id of the cell that tells how to get a copy; a copy does without it."""


def source_of(path: Path) -> Path | None:
    """Return the source from which the notebook `path` is made, None if it is written by hand."""
    source = path.with_name("exercise.py")
    return source if path.name == "exercise.ipynb" and source.is_file() else None


def build(source: Path) -> Any:
    """Return the notebook of an exercise, not yet run; raises `UserError` if it is malformed."""
    import nbformat.v4 as v4

    cells = []
    for name, kind, text in _cells(read_exercise(source)):
        if kind == "markdown":
            cell = v4.new_markdown_cell(text, id=name)  # type: ignore[no-untyped-call]
        else:
            cell = v4.new_code_cell(text, id=name)  # type: ignore[no-untyped-call]
            cell.metadata = {"tags": [kind]}
        cells.append(cell)
    return v4.new_notebook(cells=cells)  # type: ignore[no-untyped-call]


def in_step(notebook: Any, source: Path) -> bool:
    """Whether a notebook's cells are those that its source makes, whatever their outputs."""
    return _essence(notebook) == _essence(build(source))


def _essence(notebook: Any) -> list[tuple[object, ...]]:
    return [
        (cell.get("id"), cell.cell_type, cell.source, tuple(cell.metadata.get("tags", ())))
        for cell in notebook.cells
    ]


def _cells(exercise: Exercise) -> Iterator[tuple[str, str, str]]:
    """Yield each cell as (id, "markdown" or its tag, text)."""
    number = exercise.number
    yield "head", "markdown", _head(exercise)
    yield OWN_COPY, "markdown", COPY.format(number=number, name=exercise.folder.name)
    yield "task", "markdown", exercise.task
    yield "setup", "setup", _setup(exercise)
    if exercise.picture is not None:
        yield "expected", "markdown", EXPECTED
        yield "expected-picture", "picture", f'picture("{number}")'
    yield "your-answer", "markdown", "## Your answer"
    yield "answer", "answer", exercise.starter.text.rstrip()
    yield "your-check", "markdown", CHECK + (BESIDE if exercise.picture is not None else "")
    yield "check", "check", f'check("{number}", globals())'
    if exercise.picture is not None:
        yield "your-picture", "picture", f'picture("{number}", globals())'
    yield "hints", "markdown", "\n\n".join(["## Hints", *_folded(exercise)])
    yield "end", "markdown", END.format(number=number, lesson=exercise.lesson)


def _head(exercise: Exercise) -> str:
    return HEAD.format(
        number=exercise.number,
        title=exercise.title,
        lesson=exercise.lesson,
        minutes=exercise.minutes,
        difficulty=_dots(exercise.difficulty),
        importance=_dots(exercise.importance),
    )


def _dots(level: int) -> str:
    return f"{level} of 5 {'●' * level}{'○' * (5 - level)}"


def _setup(exercise: Exercise) -> str:
    ours = "from labkit.lab.exercises import check, hint, picture, solution"
    if exercise.picture is None:
        ours = ours.replace("picture, ", "")
    return f"{exercise.setup.text}\n{ours}".strip()


def _folded(exercise: Exercise) -> Iterator[str]:
    names = ("Hint 1: the way", "Hint 2: the plan", "Hint 3: nearly the answer")
    for name, text in zip(names, exercise.hints, strict=True):
        yield f"<details>\n<summary>{name}</summary>\n\n{text}\n\n</details>"


HEAD = """\
# Exercise {number}: {title}

| Time | Difficulty | Importance | Lesson |
| --- | --- | --- | --- |
| {minutes} minutes | {difficulty} | {importance} | [{lesson}](../../notebooks/{lesson}.ipynb) |"""

COPY = """\
Work in a copy of your own: `labkit exercise start {number}` in a terminal makes \
`my-{name}.ipynb` beside this notebook. Git ignores it, and an update never touches it."""

EXPECTED = """\
## What it should do

This is what a finished answer does, on virtual time. Where chance plays a part, yours \
may differ."""

CHECK = """\
## Check it

The check looks at what your code does, not at how it is written. It names the first thing that \
is not right yet."""

BESIDE = " The picture below the check sets your answer beside the expected one."

END = """\
Still stuck? `solution("{number}")` in a new cell shows one good answer. Yours may differ: only \
what it does counts.

Back to the [lesson](../../notebooks/{lesson}.ipynb)."""

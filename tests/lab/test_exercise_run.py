"""The terminal judges a notebook file as the notebook judges itself, in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from labkit.errors import UserError
from labkit.lab.exercise_files import find_exercise
from labkit.lab.exercise_model import Exercise
from labkit.lab.exercise_notebook import build
from labkit.lab.exercise_run import cells_to_run, judge_notebook
from tests.lab.toy_exercise import make_project


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exercise:
    """The small exercise in a project of its own."""
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return find_exercise("07")


def written(exercise: Exercise, *answer: str) -> Path:
    """Write a notebook with these cells where the answer belongs, and return its path."""
    notebook = build(exercise.folder / "exercise.py")
    place = next(i for i, cell in enumerate(notebook.cells) if cell.id == "answer")
    notebook.cells[place : place + 1] = [nbformat.v4.new_code_cell(text) for text in answer]  # type: ignore[no-untyped-call]
    path = exercise.folder / "my-07-toy.ipynb"
    nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    return path


def test_the_starter_is_not_started(toy: Exercise) -> None:
    """No traceback, no stopped process."""
    verdict = judge_notebook(toy, written(toy, toy.starter.text))
    assert str(verdict) == "Not started yet: write `double`."


def test_cells_run_as_in_jupyter(toy: Exercise) -> None:
    """Helpers in other cells, printing, magics and awaiting are all fine."""
    helper = "%time two = 2\nimport asyncio\nawait asyncio.sleep(0)\nprint('hello')"
    answer = "def double(number):\n    print(number)\n    return two * number"
    assert judge_notebook(toy, written(toy, helper, answer)).ending == "passed"


def test_an_answer_that_needs_a_later_cell_is_found_out(toy: Exercise) -> None:
    """A notebook that only works out of order does not work."""
    answer = "def double(number):\n    return two * number\nassert double(1) == 2"
    verdict = judge_notebook(toy, written(toy, answer, "two = 2"))
    assert verdict.message == (
        "Your code stopped in line 2, `return two * number`, "
        "with NameError: name 'two' is not defined."
    )
    assert verdict.exit_code == 2


def test_a_syntax_error_is_told_with_its_line(toy: Exercise) -> None:
    """The learner's line and none of ours."""
    verdict = judge_notebook(toy, written(toy, "def double(number):\n    return 2 *\n"))
    assert verdict.message.startswith("Your code is not Python in line 2, `return 2 *`: ")
    assert verdict.exit_code == 2


def test_a_cell_without_end_is_stopped(toy: Exercise) -> None:
    """The limit holds for the whole process."""
    verdict = judge_notebook(toy, written(toy, "while True: pass"), limit=3)
    assert verdict.message.startswith("Your code was stopped: it still ran after 3 seconds.")
    assert verdict.exit_code == 2


def test_a_cell_that_ends_python_is_told(toy: Exercise) -> None:
    """There is no verdict, and the message says why."""
    verdict = judge_notebook(toy, written(toy, "import os\nos._exit(5)"))
    assert "ended its Python before it could be checked (exit code 5)" in verdict.message
    assert verdict.exit_code == 2


def test_only_what_stands_above_the_check_is_run(toy: Exercise) -> None:
    """Neither the pictures nor what the learner tries out below."""
    cells = cells_to_run(written(toy, toy.solution.text))
    assert [cell.partition("\n")[0] for cell in cells] == ["import random", "def double(number):"]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cells": [1]}', '{"cells": [{}]}'])
def test_an_unreadable_notebook_is_refused_in_a_sentence(toy: Exercise, text: str) -> None:
    """Before any process is started."""
    path = toy.folder / "my-07-toy.ipynb"
    path.write_text(text)
    with pytest.raises(UserError, match="is not a readable notebook"):
        judge_notebook(toy, path)


def test_a_missing_notebook_is_refused_in_a_sentence(toy: Exercise) -> None:
    """A file that went away is no traceback either."""
    with pytest.raises(UserError, match="is not a readable notebook"):
        cells_to_run(toy.folder / "gone.ipynb")


def test_a_source_kept_as_lines_is_put_together(toy: Exercise) -> None:
    """The notebook format allows both; JupyterLab writes lines."""
    path = toy.folder / "lines.ipynb"
    cell = {"cell_type": "code", "source": ["a = 1\n", "b = 2"]}
    path.write_text(json.dumps({"cells": [cell]}))
    assert cells_to_run(path) == ["a = 1\nb = 2"]

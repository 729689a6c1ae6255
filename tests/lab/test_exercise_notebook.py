"""An exercise's notebook is made from its source, and a difference between them is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit.lab.exercise_notebook import build, in_step, source_of
from labkit.lab.notebooks import differences, find
from tests.lab.toy_exercise import SOURCE, make_project, section


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source of the small exercise, in a project of its own."""
    monkeypatch.chdir(tmp_path)
    return make_project(tmp_path)


def cell(notebook: Any, name: str) -> Any:
    """Return the cell with this id."""
    return next(each for each in notebook.cells if each.id == name)


def test_the_notebook_is_valid_and_the_same_every_time(source: Path) -> None:
    """Cell ids are names, not dice."""
    notebook = build(source)
    nbformat.validate(notebook)
    assert notebook == build(source)


def test_the_head_says_how_long_how_hard_and_how_important(source: Path) -> None:
    """And leads back to the lesson."""
    head = cell(build(source), "head").source
    assert head.startswith("# Exercise 07: Double it")
    assert "| 5 minutes | 1 of 5 ●○○○○ | 2 of 5 ●●○○○ |" in head
    assert "(../../notebooks/07-toy.ipynb)" in head


def test_the_cells_follow_a_learners_way(source: Path) -> None:
    """Task, expected picture, answer, check, own picture, hints, and back to the lesson."""
    assert [each.id for each in build(source).cells] == [
        *("head", "own-copy", "task", "setup", "expected", "expected-picture", "your-answer"),
        *("answer", "your-check", "check", "your-picture", "hints", "end"),
    ]


def test_hints_are_folded_and_the_solution_is_not_in_it(source: Path) -> None:
    """Nothing is given away to an eye that only scrolls."""
    notebook = build(source)
    hints = cell(notebook, "hints").source
    assert hints.count("<details>") == hints.count("</details>") == 3
    assert "return 2 * number" not in "".join(each.source for each in notebook.cells)


def test_the_answer_cell_is_the_starter_and_the_check_asks_for_this_exercise(source: Path) -> None:
    """Both carry the tags by which they are found again."""
    notebook = build(source)
    assert cell(notebook, "answer").source.startswith("def double(number):\n    raise NotImpl")
    assert cell(notebook, "answer").metadata.tags == ["answer"]
    assert cell(notebook, "check").source == 'check("07", globals())'
    assert cell(notebook, "check").metadata.tags == ["check"]


def test_an_exercise_without_a_picture_shows_none(source: Path) -> None:
    """Nor does it import what draws one."""
    source.write_text(SOURCE.replace(section("picture"), ""))
    code = "".join(each.source for each in build(source).cells)
    assert "picture" not in code


def test_outputs_do_not_matter_and_cells_do(source: Path) -> None:
    """Being in step is about what the source makes."""
    notebook = build(source)
    cell(notebook, "check").outputs = [{"output_type": "stream", "name": "stdout", "text": "x"}]
    assert in_step(notebook, source)
    cell(notebook, "hints").source += " "
    assert not in_step(notebook, source)


@pytest.mark.parametrize(
    ("old", "new"), [("Multiply.", "Add."), ("minutes: 5", "minutes: 6"), ("write `d", "do `d")]
)
def test_a_changed_source_makes_the_check_of_the_notebook_fail(
    source: Path, old: str, new: str
) -> None:
    """Before anything is run, and with the command that repairs it."""
    notebook = source.with_name("exercise.ipynb")
    nbformat.write(build(source), notebook)  # type: ignore[no-untyped-call]
    source.write_text(SOURCE.replace(old, new))
    assert "labkit check --update 07-toy" in differences(notebook)


def test_only_an_exercise_has_a_source(source: Path) -> None:
    """A lesson is written by hand, and so is a learner's copy."""
    assert source_of(source.with_name("exercise.ipynb")) == source
    assert source_of(source.with_name("my-07-toy.ipynb")) is None
    assert source_of(Path("notebooks/05-retry.ipynb").resolve()) is None


def test_an_exercise_is_found_by_its_number_also_before_it_is_first_made(source: Path) -> None:
    """The number names lesson and exercise; the folder's name the exercise alone."""
    root, notebook = source.parents[2], source.with_name("exercise.ipynb")
    lesson = root / "notebooks/07-toy.ipynb"
    lesson.touch()
    assert find(["07"]) == [notebook, lesson]
    assert find(["exercises/07"]) == find([str(notebook)]) == [notebook]
    assert find(["notebooks/07"]) == [lesson]
    assert find(["07"], exercises=False) == [lesson]

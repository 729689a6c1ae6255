"""Every exercise keeps its promises: starter, solution, wrong answers and notebook.

Also what a notebook calls, on a small exercise.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit.errors import UserError
from labkit.lab.exercise_files import find_exercise, state
from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Exercise, WrongAnswer
from labkit.lab.exercise_notebook import in_step
from labkit.lab.exercise_source import read_exercise
from labkit.lab.exercises import check, hint, picture, solution
from labkit.lab.notebooks import differences
from tests.lab.toy_exercise import SOURCE, make_project, section

ROOT = Path(__file__).parents[2]
EXERCISES = [read_exercise(path) for path in sorted(ROOT.glob("exercises/*/exercise.py"))]
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda each: each.folder.name)
each_wrong_answer = pytest.mark.parametrize(
    ("exercise", "wrong"),
    [(exercise, wrong) for exercise in EXERCISES for wrong in exercise.wrong],
    ids=lambda each: each.number if isinstance(each, Exercise) else each.name.replace(" ", "-"),
)


def message(exercise: Exercise, wrong: WrongAnswer) -> str:
    """Return what a wrong answer is told."""
    return judge(exercise, exercise.answered(exercise.solution, wrong.code)).message


@each_exercise
def test_the_starter_has_not_been_started(exercise: Exercise) -> None:
    """It says what to write, and exits with 1."""
    verdict = judge(exercise, exercise.answered(exercise.starter))
    assert str(verdict).startswith("Not started yet: ")
    assert verdict.exit_code == 1


@pytest.fixture
def awake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody sleep for real: hours pass on virtual time."""

    def refuse(seconds: float) -> None:
        raise AssertionError(f"slept {seconds} s")

    monkeypatch.setattr(time, "sleep", refuse)


@pytest.mark.usefixtures("awake")
@each_exercise
def test_the_solution_passes(exercise: Exercise) -> None:
    """Every check, twice the same."""
    first = judge(exercise, exercise.answered(exercise.solution))
    assert (first.ending, first.exit_code) == ("passed", 0)
    assert first == judge(exercise, exercise.answered(exercise.solution))


@pytest.mark.usefixtures("awake")
@each_wrong_answer
def test_a_wrong_answer_is_told_its_misconception(exercise: Exercise, wrong: WrongAnswer) -> None:
    """With the words its section names, and never as a crash."""
    verdict = judge(exercise, exercise.answered(exercise.solution, wrong.code))
    assert wrong.fragment in verdict.message
    assert (verdict.ending, verdict.exit_code) == ("wrong", 1)


@each_exercise
def test_a_misconception_is_named_only_to_those_who_have_it(exercise: Exercise) -> None:
    """Wrong answers share a message where they share a mistake, and there are three or more."""
    told = {wrong.name: message(exercise, wrong) for wrong in exercise.wrong}
    mistakes = {wrong.fragment for wrong in exercise.wrong}
    for mistake in mistakes:
        theirs = [wrong.name for wrong in exercise.wrong if wrong.fragment == mistake]
        assert [name for name, text in told.items() if mistake in text] == theirs
    assert len(mistakes) >= 3


@each_exercise
def test_the_notebook_is_in_step_with_its_source(exercise: Exercise) -> None:
    """Or `labkit check --update` has been forgotten."""
    notebook = nbformat.read(exercise.folder / "exercise.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    assert in_step(notebook, exercise.folder / "exercise.py")


@each_exercise
def test_the_notebook_shows_what_it_would_show_if_run(exercise: Exercise) -> None:
    """Every stored output, compared strictly."""
    assert differences(exercise.folder / "exercise.ipynb") == ""


@each_exercise
def test_the_lesson_it_belongs_to_exists(exercise: Exercise) -> None:
    """The notebook leads back to it."""
    assert (ROOT / "notebooks" / f"{exercise.lesson}.ipynb").is_file()


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exercise:
    """The small exercise in a project of its own."""
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    return find_exercise("07")


def doubling(factor: int) -> dict[str, Any]:
    """Return the namespace of an answer that multiplies by `factor`."""
    return {"double": lambda number: factor * number}


def test_a_pass_is_remembered_where_somebody_works(
    toy: Exercise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong answer is not, nor a run that nobody attends."""
    assert check("07", doubling(2)).ending == "passed"
    assert state(toy) == "not started"
    monkeypatch.delenv("LABKIT_UNATTENDED", raising=False)
    assert check("07", doubling(3)).ending == "wrong"
    assert state(toy) == "not started"
    assert check("07", doubling(2)).ending == "passed"
    assert state(toy) == "passed"


def test_a_picture_sets_the_answer_beside_the_solution(toy: Exercise) -> None:
    """Without an answer it shows the solution alone."""
    assert toy.picture is not None
    assert picture("07") == {"expected": 8}
    assert picture("07", doubling(3)) == {"expected": 8, "yours": 12}


def test_an_answer_that_cannot_be_drawn_is_told_why(toy: Exercise) -> None:
    """A starter has no picture yet; a broken answer shows its line."""
    starter = toy.answered(toy.starter)
    assert repr(picture("07", starter)) == "Your picture appears here once there is an answer."
    broken: dict[str, Any] = {}
    exec("def double(number): return nothing", broken)  # noqa: S102
    assert "NameError" in str(picture("07", broken))


def test_hints_and_the_solution_can_be_had_in_the_notebook(toy: Exercise) -> None:
    """As text, and as Markdown for the page."""
    assert repr(hint("07")) == toy.hints[0]
    assert hint("07", 3)._repr_markdown_() == "`2 * number`"
    assert solution("7")._repr_markdown_().startswith("```python\ndef double")


def test_a_wrong_call_is_refused_in_a_sentence(toy: Exercise) -> None:
    """An unknown exercise, a hint too many, a picture where there is none."""
    with pytest.raises(UserError, match="no exercise '99'"):
        check("99", {})
    with pytest.raises(UserError, match="none called 4"):
        hint("07", 4)
    (toy.folder / "exercise.py").write_text(SOURCE.replace(section("picture"), ""))
    with pytest.raises(UserError, match="no picture"):
        picture("07")

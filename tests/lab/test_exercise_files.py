"""The learner's own files: made once, never overwritten, ignored by git."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from labkit.errors import UserError
from labkit.lab.exercise_files import (
    all_exercises,
    find_exercise,
    mark_passed,
    notebook_of,
    start,
    state,
)
from labkit.lab.exercise_model import Exercise
from labkit.lab.exercise_notebook import build
from tests.lab.toy_exercise import make_project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Exercise:
    """The small exercise, delivered in a project of its own."""
    import nbformat

    source = make_project(tmp_path)
    text: str = nbformat.writes(build(source))  # type: ignore[no-untyped-call]
    (source.parent / "exercise.ipynb").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return find_exercise("07")


@pytest.mark.parametrize("name", ["7", "07", "07-toy"])
def test_an_exercise_is_found_by_number_or_name(toy: Exercise, name: str) -> None:
    """With or without the leading zero."""
    assert find_exercise(name) == toy
    assert all_exercises() == [toy]


@pytest.mark.parametrize("name", ["8", "", "0", "toy", "../07-toy"])
def test_an_unknown_exercise_is_refused_with_those_there_are(toy: Exercise, name: str) -> None:
    """In one sentence."""
    with pytest.raises(UserError, match=f"The exercises are: {toy.folder.name}"):
        find_exercise(name)


def test_the_copy_is_the_exercise_without_the_advice_to_copy_it(toy: Exercise) -> None:
    """Every other cell is there, and the answer's keeps its tag."""
    own, backup = start(toy)
    assert (own.name, backup) == ("my-07-toy.ipynb", None)
    delivered = json.loads((toy.folder / "exercise.ipynb").read_text())["cells"]
    assert json.loads(own.read_text())["cells"] == [
        cell for cell in delivered if cell["id"] != "own-copy"
    ]
    assert len(delivered) == len(json.loads(own.read_text())["cells"]) + 1


def test_work_is_never_overwritten(toy: Exercise) -> None:
    """A second start refuses and says how to begin anew."""
    own, _ = start(toy)
    own.write_text("an afternoon's work")
    with pytest.raises(UserError, match=r"begun already.*start 07 --over"):
        start(toy)
    assert own.read_text() == "an afternoon's work"


def test_beginning_anew_keeps_every_earlier_copy(toy: Exercise) -> None:
    """Backups are numbered, and none replaces another."""
    own, _ = start(toy)
    for text, name in (("first", "my-07-toy-1.ipynb"), ("second", "my-07-toy-2.ipynb")):
        own.write_text(text)
        _, backup = start(toy, over=True)
        assert backup is not None
        assert (backup.name, backup.read_text()) == (name, text)
    assert (toy.folder / "my-07-toy-1.ipynb").read_text() == "first"


def test_the_state_goes_from_not_started_to_passed(toy: Exercise) -> None:
    """And back to in progress when the learner begins anew."""
    assert state(toy) == "not started"
    assert notebook_of(toy).name == "exercise.ipynb"
    start(toy)
    assert state(toy) == "in progress"
    assert notebook_of(toy).name == "my-07-toy.ipynb"
    mark_passed(toy)
    assert state(toy) == "passed"
    start(toy, over=True)
    assert state(toy) == "in progress"


def test_a_missing_or_broken_exercise_is_not_copied(toy: Exercise) -> None:
    """The sentence says how to make it."""
    delivered = toy.folder / "exercise.ipynb"
    delivered.write_text("{")
    with pytest.raises(UserError, match="labkit check --update 07"):
        start(toy)
    delivered.unlink()
    with pytest.raises(UserError, match="labkit check --update 07"):
        start(toy)
    assert state(toy) == "not started"


@pytest.mark.parametrize("name", ["my-05-retry.ipynb", "my-05-retry-1.ipynb", "my-passed"])
def test_git_ignores_what_is_the_learners_own(name: str) -> None:
    """The project's own rule, asked of git."""
    question = ["git", "check-ignore", "-q", f"exercises/05-retry/{name}"]
    assert subprocess.run(question, cwd=ROOT).returncode == 0

"""`labkit exercise`, as typed: what it prints and how it exits."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nbformat
import pytest

from labkit.cli import main
from labkit.lab.exercise_files import find_exercise
from labkit.lab.exercise_notebook import build
from tests.lab.toy_exercise import make_project


@pytest.fixture(autouse=True)
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the small exercise 07; returns its folder."""
    source = make_project(tmp_path)
    nbformat.write(build(source), source.with_name("exercise.ipynb"))  # type: ignore[no-untyped-call]
    monkeypatch.chdir(tmp_path)
    return source.parent


def run(*words: str) -> int:
    """Type `labkit exercise ...` and return the exit code."""
    arguments, sys.argv = sys.argv, ["labkit", "exercise", *words]
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        sys.argv = arguments
    return int(ended.value.code or 0)


def answer(folder: Path, text: str) -> None:
    """Write an answer into the learner's notebook."""
    own = folder / "my-07-toy.ipynb"
    notebook = json.loads(own.read_text())
    next(cell for cell in notebook["cells"] if cell["id"] == "answer")["source"] = text
    own.write_text(json.dumps(notebook))


def test_a_learners_way_through(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Start, check, answer wrongly, answer rightly: each step says where one stands."""
    assert run("start", "7") == 0
    assert capsys.readouterr().out == (
        "Open exercises/07-toy/my-07-toy.ipynb in JupyterLab (labkit lab).\n"
    )
    assert run("check", "7") == 1
    assert capsys.readouterr().out.startswith("Not started yet: write `double`.\n")
    assert run("list") == 0
    assert "in progress" in capsys.readouterr().out
    answer(toy, "def double(number):\n    return number + 1")
    assert run("check", "7") == 1
    assert "✗ You made 4 of 3" in capsys.readouterr().out
    answer(toy, "def double(number):\n    return 2 * number")
    assert run("check", "7") == 0
    assert "✓ Three becomes six." in capsys.readouterr().out
    assert run("list") == 0
    assert "passed" in capsys.readouterr().out


def test_list_shows_what_one_chooses_by(capsys: pytest.CaptureFixture[str]) -> None:
    """Number, title, minutes, difficulty, importance, state."""
    assert run("list") == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split("  ")[0] == "07"
    assert " ".join(row.split()) == "07 Double it 5 1 of 5 2 of 5 not started"


def test_check_of_the_delivered_exercise_advises_a_copy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is judged as it is, which is not started."""
    assert run("check", "07") == 1
    assert "labkit exercise start 07" in capsys.readouterr().out


def test_a_second_start_refuses_and_over_keeps_a_backup(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence and exit code 2; with the option a sentence about the backup."""
    assert run("start", "07") == 0
    (toy / "my-07-toy.ipynb").write_text("mine")
    assert run("start", "07") == 2
    assert "your work is in exercises/07-toy/my-07-toy.ipynb" in capsys.readouterr().err
    assert run("start", "07", "--over") == 0
    assert "kept in exercises/07-toy/my-07-toy-1.ipynb" in capsys.readouterr().out
    assert (toy / "my-07-toy-1.ipynb").read_text() == "mine"


@pytest.mark.parametrize(
    ("level", "shown"), [((), "Think of two."), (("2",), "Multiply."), (("3",), "`2 * number`")]
)
def test_hints_come_one_by_one(
    capsys: pytest.CaptureFixture[str], level: tuple[str, ...], shown: str
) -> None:
    """The first by default; all but the last say how to get more."""
    assert run("hint", "07", *level) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{shown}\n")
    assert ("More: labkit exercise hint 07" in out) == (level != ("3",))


def test_the_solution_goes_into_a_pipe_as_plain_python(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing but the code."""
    assert run("solution", "07") == 0
    assert capsys.readouterr().out == find_exercise("07").solution.text


def test_a_terminal_gets_colours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The solution is highlighted where somebody looks at it."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run("solution", "07") == 0
    assert "\x1b[" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["start", "check", "hint", "solution"])
def test_an_unknown_number_is_one_sentence(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """And exit code 2."""
    assert run(command, "99") == 2
    told = "labkit: There is no exercise '99'. The exercises are: 07-toy.\n"
    assert capsys.readouterr().err == told


def test_an_unreadable_notebook_is_one_sentence(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And exit code 2."""
    (toy / "my-07-toy.ipynb").write_text("{")
    assert run("check", "07") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_an_answer_that_is_not_python_exits_with_2(
    toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message shows the learner's line."""
    assert run("start", "07") == 0
    answer(toy, "def double(number)\n    return 2 * number")
    assert run("check", "07") == 2
    assert "line 1, `def double(number)`" in capsys.readouterr().out

"""Every exercise is judged alike in its notebook and in the terminal."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code, Exercise
from labkit.lab.exercise_notebook import build
from labkit.lab.exercise_run import judge_notebook
from labkit.lab.exercise_source import read_exercise
from labkit.lab.notebooks import unattended

ROOT = Path(__file__).parents[2]
EXERCISES = [read_exercise(path) for path in sorted(ROOT.glob("exercises/*/exercise.py"))]


def answers(exercise: Exercise) -> list[str]:
    """Return the starter, the solution, and the first wrong answer."""
    solved = exercise.solution.text
    return [exercise.starter.text, solved, solved + exercise.wrong[0].code.text]


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda each: each.folder.name)
def test_the_notebook_and_the_terminal_give_the_same_verdict(
    exercise: Exercise, tmp_path: Path
) -> None:
    """The very same words, from a kernel and from a process of its own."""
    from nbclient import NotebookClient

    source = exercise.folder / "exercise.py"
    delivered = {cell.id: cell for cell in build(source).cells}
    worked_in = build(source)
    worked_in.cells = [delivered["setup"]]
    for text in answers(exercise):
        answer = {**delivered["answer"], "source": text}
        worked_in.cells += [nbformat.from_dict(answer), nbformat.from_dict(delivered["check"])]  # type: ignore[no-untyped-call]
    resources = {"metadata": {"path": str(exercise.folder)}}
    NotebookClient(worked_in, kernel_name="python3", resources=resources).execute(env=unattended())
    checked = [cell for cell in worked_in.cells if cell.source == delivered["check"].source]
    for cell, text in zip(checked, answers(exercise), strict=True):
        handed_in = build(source)
        next(each for each in handed_in.cells if each.id == "answer").source = text
        path = tmp_path / f"my-{exercise.folder.name}.ipynb"
        nbformat.write(handed_in, path)  # type: ignore[no-untyped-call]
        verdict = judge_notebook(exercise, path)
        assert cell.outputs[0].data["text/plain"] == str(verdict)
    assert verdict == judge(exercise, exercise.answered(Code(text, source)))  # the wrong answer

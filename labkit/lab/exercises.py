"""What an exercise notebook calls: `check` an answer, draw a `picture`, ask for a `hint`.

    check("05", globals())       the verdict on the answer in this notebook
    picture("05")                what the finished answer does; with globals(), yours beside it
    hint("05", 2)                the second of three hints
    solution("05")               one good answer

`labkit exercise check 05` gives the same verdict in a terminal.
"""

from __future__ import annotations

from typing import Any

from labkit.errors import UserError
from labkit.lab.exercise_files import find_exercise, mark_passed
from labkit.lab.exercise_judge import judge, tried
from labkit.lab.exercise_verdict import Verdict
from labkit.lab.widgets import attended

__all__ = ["Page", "check", "hint", "picture", "solution"]


DRAWING_LIMIT_S = 60.0
"""Real seconds for a picture, whose libraries may have to be loaded first."""


class Page:
    """A text in Markdown that a notebook shows as such."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


def check(number: str, answer: dict[str, Any]) -> Verdict:
    """Judge the answer in the namespace `answer`, such as `globals()`; the last line of a cell."""
    exercise = find_exercise(number)
    verdict = judge(exercise, answer)
    if verdict.ending == "passed" and attended():
        mark_passed(exercise)
    return verdict


def picture(number: str, answer: dict[str, Any] | None = None) -> Any:
    """Draw what the solution does, and beside it what `answer` does; a cell shows the result.

    The exercise's `picture(answers)` is given namespaces by name: "expected", and "yours" if
    there is an `answer`.  An answer that cannot be drawn is met with its verdict.
    """
    exercise = find_exercise(number)
    if exercise.picture is None:
        raise UserError(f"Exercise {exercise.number} has no picture.")
    answers = {"expected": exercise.answered(exercise.solution)}
    if answer is not None:
        answers["yours"] = answer
    drawing: dict[str, Any] = {"__name__": f"picture_{exercise.number}"}
    exercise.picture.run(drawing)
    drawn: list[Any] = []
    verdict = tried(
        exercise,
        lambda _: drawn.append(drawing["picture"](answers)),
        answers.get("yours", {}),
        DRAWING_LIMIT_S,
    )
    if verdict is not None and verdict.ending == "not started":
        return Page("Your picture appears here once there is an answer.")
    return drawn[0] if verdict is None else verdict


def hint(number: str, level: int = 1) -> Page:
    """Return a hint: 1 points the way, 2 says how, 3 is nearly the answer."""
    exercise = find_exercise(number)
    if level not in (1, 2, 3):
        raise UserError(f"There are hints 1, 2 and 3, and none called {level}.")
    return Page(exercise.hints[level - 1])


def solution(number: str) -> Page:
    """Return one good answer; others may be as good, for the checks judge behaviour only."""
    return Page(f"```python\n{find_exercise(number).solution.text}```")

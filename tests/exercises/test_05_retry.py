"""Exercise 05 asks for what it says, and its notebook and the terminal agree."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit import Layer, Retry
from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code
from labkit.lab.exercise_notebook import build
from labkit.lab.exercise_run import judge_notebook
from labkit.lab.exercise_source import read_exercise
from labkit.lab.exercise_stage import play
from labkit.lab.notebooks import unattended

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exercises/05-retry/exercise.py"
EXERCISE = read_exercise(SOURCE)


def checks() -> dict[str, Any]:
    """Return the names that the section of checks defines."""
    namespace: dict[str, Any] = {"__name__": "checks"}
    EXERCISE.checks.run(namespace)
    return namespace


@pytest.mark.parametrize(("name", "options"), checks()["LASTING"].items())
def test_a_lasting_failure_is_what_it_is_called(name: str, options: dict[str, Any]) -> None:
    """A layer that does nothing gets the status in the name."""
    assert f"A {play(Layer(), **options).status} " in name


@pytest.mark.parametrize(("name", "fault"), checks()["TRANSIENT"].items())
def test_a_transient_failure_is_what_it_is_called(name: str, fault: Any) -> None:
    """The status in the name, or none where it says so."""
    story = play(Layer(), fault)
    assert story.error is not None
    assert f"A {story.status} " in f"{name} " if story.status else "no status" in name


class Fits(Retry):
    """labkit's own layer with the parameters of the exercise."""

    def __init__(self, attempts: int, base: float, cap: float, **options: Any) -> None:
        from labkit.layers.backoff import FullJitter

        super().__init__(attempts, backoff=FullJitter(base=base, cap=cap), **options)


def test_labkits_own_layer_passes() -> None:
    """Another good answer, that hands back a DeadlineExceeded, is good as well."""
    assert str(judge(EXERCISE, {"MyRetry": Fits})).startswith("Exercise 05: passed.")


OTHER_WAYS = {
    "waits in two steps": """\
class MyRetry(MyRetry):
    def flow(self, request):
        for attempt in range(self.attempts):
            outcome = yield Send(request)
            wait = self.wait_after(attempt, outcome)
            now = yield Now()
            last = attempt == self.attempts - 1 or wait is None or not outcome.transient
            if last or now + wait >= (request.deadline or float("inf")):
                break
            yield Sleep(wait / 2)
            yield Sleep(wait / 2)
        return outcome
""",
    "throws the global dice": """\
class MyRetry(MyRetry):
    def wait_after(self, attempt, outcome):
        asked = outcome.retry_after
        if asked is not None:
            return asked + random.random() * self.spread if asked <= self.longest_wait else None
        return random.uniform(0, min(self.cap, self.base * 2**attempt))
""",
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_only_behaviour_counts(way: str) -> None:
    """An answer that is written otherwise passes too."""
    answer = EXERCISE.answered(EXERCISE.solution, Code(OTHER_WAYS[way], SOURCE))
    assert judge(EXERCISE, answer).ending == "passed"


def test_an_answer_that_does_nothing_is_told_what_is_missing() -> None:
    """A layer that sends once misses the point, and hears it."""
    answer = EXERCISE.answered(
        EXERCISE.solution,
        Code(
            "class MyRetry(MyRetry):\n    def flow(self, request):\n"
            "        outcome = yield Send(request)\n        return outcome\n",
            SOURCE,
        ),
    )
    assert "it was not tried again" in judge(EXERCISE, answer).message


def test_a_deadline_taken_for_a_length_of_time_is_wrong() -> None:
    """A call does not begin at time zero."""
    answer = EXERCISE.answered(
        EXERCISE.solution,
        Code(
            "class MyRetry(MyRetry):\n    def flow(self, request):\n"
            "        for attempt in range(self.attempts):\n"
            "            outcome = yield Send(request)\n"
            "            wait = self.wait_after(attempt, outcome)\n"
            "            last = attempt == self.attempts - 1 or wait is None\n"
            "            if last or not outcome.transient or wait > (request.deadline or 1e9):\n"
            "                return outcome\n"
            "            yield Sleep(wait)\n",
            SOURCE,
        ),
    )
    assert "is a point in time" in judge(EXERCISE, answer).message

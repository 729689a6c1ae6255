"""Exercise 07 asks for what it says, and labkit's own ladder is a good answer to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labkit import Fallback, Layer, Rung
from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code
from labkit.lab.exercise_source import read_exercise
from labkit.lab.exercise_stage import play

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exercises/07-graceful-degradation/exercise.py"
EXERCISE = read_exercise(SOURCE)


def checks() -> dict[str, Any]:
    """Return the names that the section of checks defines."""
    namespace: dict[str, Any] = {"__name__": "checks"}
    EXERCISE.checks.run(namespace)
    return namespace


def answered(code: str) -> dict[str, Any]:
    """Return the namespace of the solution with some code after it."""
    return EXERCISE.answered(EXERCISE.solution, Code(code, SOURCE))


@pytest.mark.parametrize(("name", "options"), checks()["LASTING"].items())
def test_a_lasting_failure_is_what_it_is_called(name: str, options: dict[str, Any]) -> None:
    """A layer that does nothing gets the status in the name."""
    assert f"A {play(Layer(), **options).status} " in name


@pytest.mark.parametrize(("name", "kind"), checks()["PASSING"].items())
def test_a_passing_failure_is_what_it_is_called(name: str, kind: str) -> None:
    """The status in the name, or none where it says so."""
    names = checks()
    story = play(Layer(), names["down"](names["FULL"], kind))
    assert story.error is not None
    assert f"A {story.status} " in f"{name} " if story.status else "no status" in name


class Fits(Fallback):
    """labkit's own layer with the parameters of the exercise."""

    def __init__(self, rungs: Sequence[Rung], patience: float = 4.0, reserve: float = 0.1) -> None:
        patient = [replace(rung, patience=patience) if rung.ask else rung for rung in rungs]
        super().__init__(*patient, patience=patience, reserve=reserve)


def test_labkits_own_layer_passes() -> None:
    """It notes more than the label, and skips a request for which there is no time."""
    assert str(judge(EXERCISE, {"MyLadder": Fits})).startswith("Exercise 07: passed.")


ANOTHER_WAY = """\
class MyLadder(MyLadder):
    def flow(self, request):
        tried = yield from self.in_time(request)
        if tried.ok:
            yield Note("rung", name="full")
            return tried
        return (yield from self.down(request, tried, tried, list(self.rungs)))

    def down(self, request, first, latest, left):
        while left and cause(latest) not in left[0].on:
            left.pop(0)
        if not left:
            return first
        rung = left.pop(0)
        if rung.ask:
            latest = yield from self.in_time(request.replace(body=rung.ask(request.body)))
        elif (message := rung.answer(request)) is not None:
            latest = Outcome(status=200, value=message)
        if latest.ok:
            yield Note("rung", name=rung.name)
            return latest
        return (yield from self.down(request, first, latest, left))
"""


def test_only_behaviour_counts() -> None:
    """An answer that is written otherwise passes too."""
    assert judge(EXERCISE, answered(ANOTHER_WAY)).ending == "passed"


NOTHING = """\
class MyLadder(MyLadder):
    def flow(self, request):
        outcome = yield Send(request)
        return outcome
"""
COMPOUND = """\
class MyLadder(MyLadder):
    def flow(self, request):
        first = outcome = yield from self.in_time(request)
        name = "full"
        for rung in self.rungs:
            if cause(outcome) not in rung.on:
                continue
            if rung.ask is not None:
                outcome = yield from self.in_time(request.replace(body=rung.ask(request.body)))
            else:
                outcome = Outcome(status=200, value=rung.answer(request))
            name = rung.name
        if not outcome.ok:
            return first
        yield Note("rung", name=name)
        return outcome
"""


@pytest.mark.parametrize(
    ("code", "told"),
    [(NOTHING, "came back without a label"), (COMPOUND, "made up an outcome with nothing in it")],
    ids=["sends once", "takes None for an answer"],
)
def test_other_wrong_answers_hear_what_is_wrong(code: str, told: str) -> None:
    """One that does nothing, and one that forgets that a store may be empty."""
    assert told in judge(EXERCISE, answered(code)).message

"""Exercise 06 asks for what it says, and its notebook and the terminal agree."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit import Breaker
from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code
from labkit.lab.exercise_notebook import build
from labkit.lab.exercise_run import judge_notebook
from labkit.lab.exercise_source import read_exercise
from labkit.lab.notebooks import unattended
from labkit.layers.breaker import verdict
from labkit.layers.circuit import Circuit

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exercises/06-circuit-breaker/exercise.py"
EXERCISE = read_exercise(SOURCE)


def checks() -> dict[str, Any]:
    """Return the names that the section of checks defines."""
    namespace: dict[str, Any] = {"__name__": "checks"}
    EXERCISE.checks.run(namespace)
    return namespace


@pytest.mark.parametrize(("name", "outcome"), checks()["FAILURES"].items())
def test_a_failure_is_what_labkit_calls_one(name: str, outcome: Any) -> None:
    """The exercise and the layer agree, and the name tells the status."""
    assert verdict(outcome) is True
    assert str(outcome.status or "no status") in name


@pytest.mark.parametrize(("name", "outcome"), checks()["ANSWERS"].items())
def test_an_answer_is_what_labkit_calls_one(name: str, outcome: Any) -> None:
    """The exercise and the layer agree, and the name tells the status."""
    assert verdict(outcome) is False
    assert str(outcome.status) in name


def test_our_limit_is_neither() -> None:
    """A 429 says nothing in both."""
    assert verdict(checks()["OUR_LIMIT"]) is None


class Fits(Breaker):
    """labkit's own layer with the parameters of the exercise: one good probe closes it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(lambda: Circuit(**options, successes=1, dice=random.Random(1)))


def test_labkits_own_layer_passes() -> None:
    """Another good answer, whose rests are scattered and grow, is good as well."""
    assert str(judge(EXERCISE, {"MyBreaker": Fits})).startswith("Exercise 06: passed.")


OTHER_WAYS = {
    "asks labkit what counts": """\
class MyBreaker(MyBreaker):
    def counts(self, outcome):
        from labkit.layers.breaker import verdict
        return verdict(outcome)
""",
    "permits instead of numbers": """\
class MyBreaker(MyBreaker):
    def change(self, state, now):
        super().change(state, now)
        self.permits = set()

    def flow(self, request):
        now = yield Now()
        if not self.generation:
            self.change("closed", now)
        if self.state == "open" and now >= self.reopens_at:
            self.change("half-open", now)
        if self.state == "open" or self.state == "half-open" and len(self.permits) >= self.probes:
            return self.refusal(now)
        permit, permits = object(), self.permits
        permits.add(permit)
        outcome = None
        try:
            outcome = yield Send(request)
            failed = self.counts(outcome)
            now = yield Now()
            if failed is not None and permits is self.permits:
                self.record(now, failed)
        finally:
            permits.discard(permit)
        return outcome
""",
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_only_behaviour_counts(way: str) -> None:
    """An answer that is written otherwise passes too."""
    assert told(OTHER_WAYS[way]).ending == "passed"


def told(text: str) -> Any:
    """Return the verdict on the solution with something changed."""
    return judge(EXERCISE, EXERCISE.answered(EXERCISE.solution, Code(text, SOURCE)))


MORE_MISTAKES = {
    "has the same request answered by nobody": (
        "    def flow(self, request):\n"
        "        outcome = yield Send(request)\n"
        "        return outcome\n",
        "and the fifth was sent",
    ),
    "refuses for ever": (
        "    def change(self, state, now):\n"
        "        super().change(state, now)\n"
        "        self.reopens_at = float('inf')\n",
        "It is the rest that is left",
    ),
    "rests for ever and does not say so": (
        "    def change(self, state, now):\n"
        "        super().change(state, now)\n"
        "        self.reopens_at = float('inf')\n"
        "    def refusal(self, now):\n"
        "        return Outcome(error=CircuitOpen('Open.', retry_after=1.0))\n",
        "Let a probe through",
    ),
    "raises its refusal": (
        "    def refusal(self, now):\n        raise CircuitOpen('Open.', retry_after=1.0)\n",
        "A flow hands it back",
    ),
    "refuses without a word": (
        "    def refusal(self, now):\n        return Outcome(error=ValueError('no'))\n",
        "Let them know who refused",
    ),
    "keeps an old window": (
        "    def record(self, now, failed):\n"
        "        kept = list(self.ended) + [(now, failed)]\n"
        "        super().record(now, failed)\n"
        "        if self.state == 'closed':\n"
        "            self.kept = self.ended = type(self.ended)(kept)\n"
        "    def change(self, state, now):\n"
        "        kept = list(self.ended)\n"
        "        super().change(state, now)\n"
        "        self.ended.extend(kept)\n",
        "the window begins empty",
    ),
    "asks in a finally": (
        "    def flow(self, request):\n"
        "        now = yield Now()\n"
        "        if self.state == 'open' and now >= self.reopens_at:\n"
        "            self.change('half-open', now)\n"
        "        probe = self.state == 'half-open'\n"
        "        if self.state == 'open' or (probe and self.probing >= self.probes):\n"
        "            return self.refusal(now)\n"
        "        generation = self.generation\n"
        "        self.probing += probe\n"
        "        outcome = Outcome()\n"
        "        try:\n"
        "            outcome = yield Send(request)\n"
        "        finally:\n"
        "            now = yield Now()\n"
        "            if generation == self.generation:\n"
        "                self.probing -= probe\n"
        "                if self.counts(outcome) is not None:\n"
        "                    self.record(now, self.counts(outcome))\n"
        "        return outcome\n",
        "keep `yield` out of the `finally`",
    ),
    "takes a cancelled call for a failure": (
        "    def flow(self, request):\n"
        "        now = yield Now()\n"
        "        try:\n"
        "            return (yield from super().flow(request))\n"
        "        except GeneratorExit:\n"
        "            self.record(now, True)\n"
        "            raise\n",
        "They say nothing",
    ),
    "waits instead of refusing": (
        "    def flow(self, request):\n"
        "        from labkit import Sleep\n"
        "        if self.state == 'open':\n"
        "            yield Sleep(self.rest)\n"
        "        return (yield from super().flow(request))\n",
        "Your flow waits",
    ),
    "tries again by itself": (
        "    def flow(self, request):\n"
        "        outcome = yield Send(request)\n"
        "        if not outcome.ok:\n"
        "            outcome = yield Send(request)\n"
        "        return outcome\n",
        "A breaker never retries",
    ),
    "reopens for late failures": (
        "    def flow(self, request):\n"
        "        late = self.generation\n"
        "        outcome = yield from super().flow(request)\n"
        "        if late < self.generation and self.state == 'closed' and self.counts(outcome):\n"
        "            self.record((yield Now()), True)\n"
        "        return outcome\n",
        "Their failures are old news",
    ),
}


@pytest.mark.parametrize("mistake", MORE_MISTAKES)
def test_a_mistake_is_named(mistake: str) -> None:
    """What is wrong is said in words, whatever the way to do it."""
    text, message = MORE_MISTAKES[mistake]
    found = told(f"class MyBreaker(MyBreaker):\n{text}")
    assert found.ending == "wrong"
    assert message in found.message

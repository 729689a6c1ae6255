"""Exercise 08 asks for what it says, and its notebook and the terminal agree."""

from __future__ import annotations

import time
from pathlib import Path

import nbformat
import pytest

from labkit import Throttle
from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code
from labkit.lab.exercise_notebook import build
from labkit.lab.exercise_run import judge_notebook
from labkit.lab.exercise_source import read_exercise
from labkit.lab.notebooks import unattended

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exercises/08-rate-limits/exercise.py"
EXERCISE = read_exercise(SOURCE)


class Fits(Throttle):
    """labkit's own layer, whose parameters have the names of the exercise."""


def test_labkits_own_layer_passes() -> None:
    """Another good answer, whose calls look again while they wait, is good as well."""
    assert str(judge(EXERCISE, {"MyThrottle": Fits})).startswith("Exercise 08: passed.")


OTHER_WAYS = {
    "one list of levels, no Bucket": """\
class MyThrottle(Layer):
    def __init__(self, requests, input_tokens, output_tokens, expected_output=300, longest_wait=30):
        self.limits = [requests, input_tokens, output_tokens]
        self.levels = [limit / 10 for limit in self.limits]
        self.at = 0.0
        self.expected_output, self.longest_wait = expected_output, longest_wait

    def flow(self, request):
        now = yield Now()
        pairs = zip(self.levels, self.limits)
        passed, self.at = now - self.at, now
        self.levels = [min(limit / 10, level + passed * limit / 60) for level, limit in pairs]
        booked = [1, prompt_tokens(request), self.expected_output]
        short = zip(booked, self.levels, self.limits)
        wait = max(0, *((amount - level) * 60 / limit for amount, level, limit in short))
        if wait > self.longest_wait or now + wait >= (request.deadline or float("inf")):
            return Outcome(error=Shed("later", retry_after=wait))
        self.change(booked, -1)
        sent = False
        try:
            yield Sleep(wait / 2)
            yield Sleep(wait / 2)
            sent = True
            outcome = yield Send(request)
        finally:
            if not sent:
                self.change(booked, 1)
        if outcome.status == 429:
            self.change(booked, 1)
        else:
            outcome.when_used(lambda used: self.settle(booked, used))
        return outcome

    def change(self, amounts, sign):
        self.levels = [level + sign * amount for level, amount in zip(self.levels, amounts)]

    def settle(self, booked, used):
        self.change([0, *booked[1:]], 1)
        self.change([0, used.counted_input_tokens, used.output_tokens], -1)
""",
    "sleeps only if it must": """\
class MyThrottle(MyThrottle):
    def flow(self, request):
        flow = super().flow(request)
        answer = None
        while True:
            try:
                effect = flow.send(answer)
            except StopIteration as end:
                return end.value
            if isinstance(effect, Sleep) and effect.seconds == 0:
                answer = None
                continue
            try:
                answer = yield effect
            except GeneratorExit:
                flow.close()
                raise
""",
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_only_behaviour_counts(way: str) -> None:
    """An answer that is written otherwise passes too."""
    answer = EXERCISE.answered(EXERCISE.solution, Code(OTHER_WAYS[way], SOURCE))
    verdict = judge(EXERCISE, answer)
    assert (verdict.ending, verdict.message) == ("passed", "")


DOES_NOTHING = (
    "class MyThrottle(MyThrottle):\n    def flow(self, request):\n"
    "        outcome = yield Send(request)\n        return outcome\n"
)


def test_an_answer_that_does_nothing_is_told_what_is_missing() -> None:
    """A layer that only sends misses the point, and hears it."""
    answer = EXERCISE.answered(EXERCISE.solution, Code(DOES_NOTHING, SOURCE))
    assert "went out in one instant, and six may" in judge(EXERCISE, answer).message

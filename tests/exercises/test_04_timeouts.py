"""Exercise 04 asks for what it says, and its notebook and the terminal agree."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit import AttemptTimeout, Deadline, Layer, Retry, Send
from labkit.flow import Flow, Outcome, Request
from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code
from labkit.lab.exercise_notebook import build
from labkit.lab.exercise_run import judge_notebook
from labkit.lab.exercise_source import read_exercise
from labkit.lab.exercise_stage import Fault, play
from labkit.lab.notebooks import unattended
from labkit.layers.backoff import Fixed

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exercises/04-timeouts/exercise.py"
EXERCISE = read_exercise(SOURCE)


def verdict_on(changed: str) -> Any:
    """Judge the solution with its class changed by some code."""
    return judge(EXERCISE, EXERCISE.answered(EXERCISE.solution, Code(changed, SOURCE)))


def through(layers: Sequence[Layer], request: Request) -> Flow:
    """Run the flows of several layers as one, outermost first."""
    if not layers:
        outcome: Outcome = yield Send(request)
        return outcome
    flow, answer = layers[0].flow(request), None
    while True:
        try:
            effect = flow.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if isinstance(effect, Send):
            answer = yield from through(layers[1:], effect.request)
        else:
            answer = yield effect


class Fits(Layer):
    """labkit's own layers with the parameters of the exercise."""

    def __init__(
        self, seconds: float, attempts: int, pause: float, first_token: float, silence: float
    ) -> None:
        retry = Retry(attempts, backoff=Fixed(pause), seed=1)
        clocks = AttemptTimeout(first_token=first_token, silence=silence)
        self.layers = [Deadline(seconds), retry, clocks]

    def flow(self, request: Request) -> Flow:
        """Do what the three do."""
        return through(self.layers, request)


def test_labkits_own_layers_pass() -> None:
    """Deadline, Retry and AttemptTimeout together are a good answer."""
    assert str(judge(EXERCISE, {"MyDeadline": Fits})).startswith("Exercise 04: passed.")


OTHER_WAYS = {
    "waits in two steps, and names the cause itself": """\
class MyDeadline(MyDeadline):
    def flow(self, request):
        deadline = (yield Now()) + self.seconds
        clocks = Timeouts(first_token=self.first_token, silence=self.silence)
        limited = request.replace(timeout=clocks).within(deadline)
        for attempt in range(1, self.attempts + 1):
            outcome = yield Send(limited)
            if not outcome.transient or attempt == self.attempts:
                break
            left = limited.deadline - (yield Now())
            if left <= self.pause:
                late = DeadlineExceeded("no time is left")
                late.__cause__ = outcome.error
                return Outcome(error=late)
            yield Sleep(self.pause / 2)
            yield Sleep(self.pause / 2)
        return outcome
""",
    "takes the earlier deadline by hand": """\
class MyDeadline(MyDeadline):
    def flow(self, request):
        deadline = (yield Now()) + self.seconds
        if request.deadline is not None:
            deadline = min(deadline, request.deadline)
        clocks = Timeouts(first_token=self.first_token, silence=self.silence, total=self.seconds)
        limited = request.replace(timeout=clocks, deadline=deadline)
        attempt = 1
        while True:
            outcome = yield Send(limited)
            if not outcome.transient or attempt >= self.attempts:
                return outcome
            if (yield Now()) + self.pause >= deadline:
                return Outcome(error=DeadlineExceeded("no time is left"))
            yield Sleep(self.pause)
            attempt += 1
""",
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_only_behaviour_counts(way: str) -> None:
    """An answer that is written otherwise passes too."""
    assert verdict_on(OTHER_WAYS[way]).ending == "passed"


WRONG_WAYS = {
    "Two overloads passed": """\
class MyDeadline(MyDeadline):
    def flow(self, request):
        outcome = yield Send(request.within((yield Now()) + self.seconds))
        return outcome
""",
    "Only a call that ran out of time ends with DeadlineExceeded": """\
class MyDeadline(MyDeadline):
    def flow(self, request):
        outcome = yield from super().flow(request)
        return outcome if outcome.ok else Outcome(error=DeadlineExceeded("no answer"))
""",
    "Say what ended it": """\
class MyDeadline(MyDeadline):
    def flow(self, request):
        limited = request.within((yield Now()) + self.seconds)
        clocks = Timeouts(first_token=self.first_token, silence=self.silence)
        for attempt in range(self.attempts):
            outcome = yield Send(limited.replace(timeout=clocks))
            late = (yield Now()) + self.pause >= limited.deadline
            if not outcome.transient or attempt == self.attempts - 1 or late:
                return outcome
            yield Sleep(self.pause)
""",
}


@pytest.mark.parametrize("message", WRONG_WAYS)
def test_further_wrong_answers_hear_what_is_wrong(message: str) -> None:
    """Each with its own message."""
    assert message in verdict_on(WRONG_WAYS[message]).message


def test_the_words_of_the_slow_stream_are_as_far_apart_as_the_check_says() -> None:
    """More than the clock of two seconds, and less than the one of ninety."""
    slow = {"attempts": 1, "seconds": 400.0, "pause": 1.0, "first_token": 60.0}
    fault = Fault("slow", factor=100)
    broken = play(Fits(silence=2.0, **slow), fault, stream=True)  # type: ignore[arg-type]
    whole = play(Fits(silence=90.0, **slow), fault, stream=True)  # type: ignore[arg-type]
    assert broken.error is not None
    assert broken.attempts[0].first_content_s is not None
    assert whole.error is None

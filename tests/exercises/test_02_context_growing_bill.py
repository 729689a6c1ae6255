"""Exercise 02 asks for what it says, and its notebook and the terminal agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labkit.catalog import role
from labkit.context import Blocks, Window
from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code
from labkit.lab.exercise_notebook import build
from labkit.lab.exercise_run import judge_notebook
from labkit.lab.exercise_source import read_exercise
from tests.context.conversations import judged

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exercises/02-context-growing-bill/exercise.py"
EXERCISE = read_exercise(SOURCE)


class Fits:
    """labkit's own window with the parameters of the exercise."""

    def __init__(self, high: int, low: int) -> None:
        self.window = Window(Blocks(high=high, low=low), pin=lambda place, _: place == 0)

    def fit(self, messages: list[Any]) -> list[Any]:
        """Return what it sends."""
        body = {"model": role("fast").id, "messages": messages}
        return list(self.window.fit(body).body["messages"])


def test_labkits_own_window_passes() -> None:
    """Another good answer, that remembers what it has read, is good as well."""
    assert str(judge(EXERCISE, {"MyWindow": Fits})).startswith("Exercise 02: passed.")


def checks() -> dict[str, Any]:
    """Return the names that the section of checks defines."""
    namespace: dict[str, Any] = {"__name__": "checks"}
    EXERCISE.checks.run(namespace)
    return namespace


@pytest.mark.parametrize("talk", ["plain_talk", "tool_talk"])
def test_the_conversations_are_valid_and_outgrow_the_window(talk: str) -> None:
    """Uncut, the API would take each of them; and the last is above high water."""
    named = checks()
    histories = list(named[talk]())
    model = role("fast").id
    for history in histories:
        body = {"model": model, "max_tokens": 1, "tools": [named["TOOL"]], "messages": history}
        assert judged(body) == ""
    assert named["size"](histories[-1]) > 1.5 * named["HIGH"]


OTHER_WAYS = {
    "remembers the question itself": """\
class MyWindow:
    def __init__(self, high, low):
        self.high, self.low, self.dropped = high, low, 0

    def fit(self, messages):
        exchanges = []
        for message in messages:
            if is_question(message):
                exchanges.append([])
            exchanges[-1].append(message)
        first, *rest = exchanges
        dropped, most = self.dropped, self.high

        def sent():
            return sum(rest[dropped:], list(first))

        if tokens(sent()) > self.high:
            while tokens(sent()) > self.low and dropped < len(rest) - 1:
                dropped += 1
        if tokens(sent()) > self.high:
            raise ContextLimit("Too long.")
        self.dropped = dropped
        return sent()
""",
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_only_behaviour_counts(way: str) -> None:
    """An answer that is written otherwise passes too."""
    answer = EXERCISE.answered(EXERCISE.solution, Code(OTHER_WAYS[way], SOURCE))
    assert judge(EXERCISE, answer).ending == "passed"


def test_an_answer_that_cuts_nothing_is_told_what_is_missing() -> None:
    """Sending everything is not within any budget."""
    lazy = (
        "class MyWindow(MyWindow):\n    def fit(self, messages):\n        return list(messages)\n"
    )
    answer = EXERCISE.answered(EXERCISE.solution, Code(lazy, SOURCE))
    assert "Messages differ in length" in judge(EXERCISE, answer).message


def test_an_answer_that_returns_nothing_is_told_so() -> None:
    """A forgotten `return` is no traceback."""
    silent = (
        "class MyWindow(MyWindow):\n    def fit(self, messages):\n        super().fit(messages)\n"
    )
    answer = EXERCISE.answered(EXERCISE.solution, Code(silent, SOURCE))
    assert "it returned None" in judge(EXERCISE, answer).message

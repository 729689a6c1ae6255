"""Exercise 03 asks for what it says, and its notebook and the terminal agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit.catalog import role
from labkit.context import Rolling, Tree, fit
from labkit.context.estimates import estimate_message
from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code
from labkit.lab.exercise_notebook import build
from labkit.lab.exercise_run import judge_notebook
from labkit.lab.exercise_source import read_exercise
from tests.context.conversations import judged

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exercises/03-context-archive/exercise.py"
EXERCISE = read_exercise(SOURCE)
TOOL = {"name": "look_up", "description": "Looks it up.", "input_schema": {"type": "object"}}


class WithRolling:
    """labkit's own memory with the parameters of the exercise."""

    kind: type[Rolling] = Rolling

    def __init__(self, archive: Any, write: Any, high: int, low: int) -> None:
        self.archive, self.write, self.high, self.low = archive, write, high, low
        self.chats: dict[str, tuple[int, list[Any], Rolling]] = {}

    def add(self, user: str, *messages: Any) -> None:
        """Archive, and keep."""
        if user not in self.chats:
            self.chats[user] = (self.archive.start(user), [], self.fresh())
        number, history, _ = self.chats[user]
        self.archive.append(user, number, *messages)
        history.extend(messages)

    def fresh(self) -> Rolling:
        """Make a memory for one conversation."""
        return self.kind(
            high=self.high, low=self.low, size=lambda each: estimate_message(each, "new"), pinned=2
        )

    def fit(self, user: str) -> list[Any]:
        """Return what it sends."""
        _, history, memory = self.chats[user]
        return fit(memory, history, self.write)


class WithTree(WithRolling):
    """The same with a tree of summaries."""

    kind = Tree


@pytest.mark.parametrize("kind", [WithRolling, WithTree])
def test_labkits_own_memories_pass(kind: type[Any]) -> None:
    """Another good answer, that asks less often after a failure, is good as well."""
    assert str(judge(EXERCISE, {"MyMemory": kind})).startswith("Exercise 03: passed.")


def checks() -> dict[str, Any]:
    """Return the names that the section of checks defines."""
    namespace: dict[str, Any] = {"__name__": "checks"}
    EXERCISE.checks.run(namespace)
    return namespace


class Everything:
    """Sends all of it."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def add(self, _: str, *messages: Any) -> None:
        """Keep."""
        self.messages.extend(messages)

    def fit(self, _: str) -> list[Any]:
        """Return all."""
        return list(self.messages)


@pytest.mark.parametrize("kind", ["plain", "with_tools"])
def test_the_conversations_are_valid_and_outgrow_the_memory(kind: str) -> None:
    """Uncut, the API would take every request; the last is far above high water."""
    named = checks()
    requests = [sent for _, sent in named["talk"](Everything(), kind=named[kind])]
    for sent in requests:
        body = {"model": role("fast").id, "max_tokens": 1, "tools": [TOOL], "messages": sent}
        assert judged(body) == ""
    assert named["size"](requests[-1]) > 2 * named["HIGH"]


def test_the_solutions_requests_are_valid() -> None:
    """With a summary in the prompt the API takes every request too."""
    named = checks()
    answer = EXERCISE.answered(EXERCISE.solution)
    made = named["memory"](answer, named["Shelf"](), named["Summariser"]())
    for _, sent in named["talk"](made, kind=named["with_tools"]):
        body = {"model": role("fast").id, "max_tokens": 1, "tools": [TOOL], "messages": sent}
        assert judged(body) == ""


def test_an_answer_that_sends_everything_is_told_what_is_missing() -> None:
    """Sending everything is not within any budget."""
    lazy = (
        "class MyMemory(MyMemory):\n    def fit(self, user):\n"
        "        return list(self.chats[user].messages)\n"
    )
    answer = EXERCISE.answered(EXERCISE.solution, Code(lazy, SOURCE))
    assert "Count all that is sent" in judge(EXERCISE, answer).message

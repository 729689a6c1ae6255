"""Exercise 11 asks for what it says, and its notebook and the terminal agree."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

from labkit.batches import BatchJob
from labkit.errors import UserError
from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code
from labkit.lab.exercise_notebook import build
from labkit.lab.exercise_run import judge_notebook
from labkit.lab.exercise_source import read_exercise
from labkit.lab.notebooks import unattended

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exercises/11-batches/exercise.py"
EXERCISE = read_exercise(SOURCE)

Collect = Callable[..., dict[str, Any]]


def seen_as_the_sdk_shows_it(result: dict[str, Any]) -> SimpleNamespace:
    """Return a stored result with the attributes that the SDK's has."""
    shown = SimpleNamespace(type=result["type"])
    if result["type"] == "succeeded":
        shown.message = SimpleNamespace(id=result["message"]["id"])
    if result["type"] == "errored":
        kind = result["error"]["error"]["type"]
        shown.error = SimpleNamespace(error=SimpleNamespace(type=kind))
    return shown


@pytest.fixture
def labkits(tmp_path: Path) -> Collect:
    """labkit's own job as an answer; its notes hold the path of its file."""
    files = iter(range(1_000_000))

    def collect(client: Any, rows: Any, notes: dict[str, Any], sleep: Any) -> dict[str, Any]:
        path = notes.setdefault("path", tmp_path / f"{next(files)}.job")
        try:
            with BatchJob(client, path, clock=sleep.__self__) as job:
                job.file.db.execute("PRAGMA synchronous = OFF")  # no test here pulls the plug
                job.give(rows)
                job.run()
                found = list(job.results())
        except UserError as error:
            raise ValueError(str(error)) from None
        return {each["custom_id"]: seen_as_the_sdk_shows_it(each["result"]) for each in found}

    return collect


def test_labkits_own_job_passes(labkits: Collect) -> None:
    """Another good answer, with names of its own on the wire, is good as well."""
    assert str(judge(EXERCISE, {"collect": labkits}, limit=60)).startswith("Exercise 11: passed.")


OTHER_WAYS = {
    "looks first, and then ever more rarely": """\
def wait(client, batch_id, sleep):
    slept, pause = 0, 10
    while True:
        try:
            if client.messages.batches.retrieve(batch_id).processing_status == "ended":
                return
        except anthropic.NotFoundError:
            if slept >= 300:
                raise
        sleep(pause)
        slept, pause = slept + pause, min(120, pause * 2)
""",
    "counts the batches instead of naming the newest": """\
def order(client, requests, notes, number):
    made = [each.id for each in client.messages.batches.list(limit=100)]
    if number < len(made):
        return made[-1 - number]
    return client.messages.batches.create(requests=requests).id
""",
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_only_behaviour_counts(way: str) -> None:
    """An answer that is written otherwise passes too."""
    answer = EXERCISE.answered(EXERCISE.solution, Code(OTHER_WAYS[way], SOURCE))
    assert judge(EXERCISE, answer, limit=60).ending == "passed"


def test_an_answer_that_is_no_dictionary_is_told_so() -> None:
    """A list of results cannot be looked up by name."""
    text = (
        "def collect(client, rows, notes, sleep):\n"
        "    client.messages.batches.create(requests=rows)\n"
    )
    answer = EXERCISE.answered(EXERCISE.solution, Code(text, SOURCE))
    assert "returns a dictionary" in judge(EXERCISE, answer).message

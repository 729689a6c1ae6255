"""Exercise 10 asks for what it says, and only behaviour counts."""

from __future__ import annotations

import time
from pathlib import Path

import nbformat
import pytest

from labkit import ResponseCache
from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code
from labkit.lab.exercise_notebook import build
from labkit.lab.exercise_run import judge_notebook
from labkit.lab.exercise_source import read_exercise
from labkit.lab.notebooks import unattended
from labkit.layers.cache_store import MemoryStore

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exercises/10-caching/exercise.py"
EXERCISE = read_exercise(SOURCE)


class Fits(ResponseCache):
    """labkit's own layer with the parameters of the exercise."""

    def __init__(self, ttl: float, stale_for: float) -> None:
        super().__init__(MemoryStore(), ttl=ttl, jitter=0, stale_if_error=stale_for, negative=0)


def test_labkits_own_layer_passes() -> None:
    """Another good answer, which also shares flights, is good as well."""
    assert str(judge(EXERCISE, {"MyCache": Fits})).startswith("Exercise 10: passed.")


OTHER_WAYS = {
    "a digest for a key": """\
import hashlib

class MyCache(MyCache):
    def key(self, request):
        return hashlib.sha256(super().key(request).encode()).hexdigest()
""",
    "drops what is old": """\
class MyCache(MyCache):
    def flow(self, request):
        now = yield Now()
        for key, kept in list(self.kept.items()):
            if now >= kept.kept_until:
                del self.kept[key]
        return (yield from super().flow(request))
""",
    "a list of fields left out": """\
class MyCache(MyCache):
    def key(self, request):
        body = dict(request.body)
        user = (body.pop("metadata", None) or {}).get("user_id", "")
        body.pop("stream", None)
        return user + "\\n" + json.dumps(body, sort_keys=True)
""",
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_only_behaviour_counts(way: str) -> None:
    """An answer that is written otherwise passes too."""
    answer = EXERCISE.answered(EXERCISE.solution, Code(OTHER_WAYS[way], SOURCE))
    assert judge(EXERCISE, answer).ending == "passed"


def test_an_answer_that_does_nothing_is_told_what_is_missing() -> None:
    """A layer that always sends hears that it sent again."""
    code = Code(
        "class MyCache(MyCache):\n    def flow(self, request):\n"
        "        return (yield Send(request))\n",
        SOURCE,
    )
    verdict = judge(EXERCISE, EXERCISE.answered(EXERCISE.solution, code))
    assert "it was sent again" in verdict.message


def test_an_answer_kept_longer_than_it_may_stand_in_is_wrong() -> None:
    """A stand-in has its end too."""
    code = Code(
        "class MyCache(MyCache):\n    def __init__(self, ttl=600.0, stale_for=3600.0):\n"
        "        super().__init__(ttl, 1e9)\n",
        SOURCE,
    )
    verdict = judge(EXERCISE, EXERCISE.answered(EXERCISE.solution, code))
    assert "has its end too" in verdict.message


def test_checking_never_sleeps_for_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of age pass on virtual time."""

    def refuse(seconds: float) -> None:
        raise AssertionError(f"slept {seconds} s")

    monkeypatch.setattr(time, "sleep", refuse)
    for wrong in EXERCISE.wrong:
        judge(EXERCISE, EXERCISE.answered(EXERCISE.solution, wrong.code))


ANSWERS = {
    "starter": EXERCISE.starter.text,
    "leaks": EXERCISE.solution.text + EXERCISE.wrong[0].code.text,
}


def test_the_notebook_and_the_terminal_give_the_same_verdict(tmp_path: Path) -> None:
    """The very same words, from a kernel and from a process of its own."""
    from nbclient import NotebookClient

    delivered = {cell.id: cell for cell in build(SOURCE).cells}
    worked_in = build(SOURCE)
    worked_in.cells = [delivered["setup"]]
    for text in ANSWERS.values():
        answer = {**delivered["answer"], "source": text}
        worked_in.cells += [nbformat.from_dict(answer), nbformat.from_dict(delivered["check"])]  # type: ignore[no-untyped-call]
    resources = {"metadata": {"path": str(SOURCE.parent)}}
    NotebookClient(worked_in, kernel_name="python3", resources=resources).execute(env=unattended())
    checked = [cell for cell in worked_in.cells if cell.source == delivered["check"].source]
    for cell, text in zip(checked, ANSWERS.values(), strict=True):
        handed_in = build(SOURCE)
        next(each for each in handed_in.cells if each.id == "answer").source = text
        path = tmp_path / "my-10-caching.ipynb"
        nbformat.write(handed_in, path)  # type: ignore[no-untyped-call]
        verdict = judge_notebook(EXERCISE, path)
        assert cell.outputs[0].data["text/plain"] == str(verdict)
        assert verdict == judge(EXERCISE, EXERCISE.answered(Code(text, SOURCE)))

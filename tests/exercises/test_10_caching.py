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

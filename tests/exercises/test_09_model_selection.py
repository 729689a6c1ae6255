"""Exercise 09 asks for what it says, and its notebook and the terminal agree."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest

from labkit import Cascade
from labkit.lab.exercise_judge import judge
from labkit.lab.exercise_model import Code
from labkit.lab.exercise_notebook import build
from labkit.lab.exercise_run import judge_notebook
from labkit.lab.exercise_source import read_exercise
from labkit.lab.notebooks import unattended
from labkit.pricing import Usage, cost
from labkit.routing.cascades import Tried, choose_thresholds

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "exercises/09-model-selection/exercise.py"
EXERCISE = read_exercise(SOURCE)


def priced(tasks: Sequence[Sequence[Any]]) -> float:
    """Price tasks with labkit's own price list, in whole tokens."""
    from labkit.catalog import model
    from labkit.routing.task_price import CHARACTERS_PER_TOKEN

    spent = 0.0
    for call in (call for task in tasks for call in task):
        size = float(CHARACTERS_PER_TOKEN[model(call.model).tokenizer or "new"])
        usage = Usage(
            input_tokens=round(call.prompt / size), output_tokens=round(call.answer / size)
        )
        at_list_price = cost(call.model, usage)
        spent += float(at_list_price)
    return spent / len(tasks)


def chosen(
    cases: Sequence[tuple[float, bool, bool]], most_harm: float, confidence: float = 0.95
) -> float:
    """Choose with labkit's own rule."""
    tried = [[Tried(cheap, score, 1.0), Tried(dear, 0.0, 10.0)] for score, cheap, dear in cases]
    return choose_thresholds(tried, most_harm=most_harm, confidence=confidence)[0].threshold


class Fits(Cascade):
    """labkit's own layer, with a verifier that says 0 instead of failing."""

    def __init__(
        self, cheap: str, strong: str, verify: Callable[..., float], at_least: float
    ) -> None:
        def safe(*seen: Any) -> float:
            with contextlib.suppress(Exception):
                return verify(*seen)
            return 0.0

        super().__init__(cheap, strong, verify=safe, at_least=at_least)


def test_labkits_own_parts_pass() -> None:
    """Price list, choice of thresholds and Cascade are another good answer."""
    answer = EXERCISE.answered(EXERCISE.solution)
    answer.update(dollars_per_task=priced, choose=chosen, MyCascade=Fits)
    assert str(judge(EXERCISE, answer)).startswith("Exercise 09: passed.")


OTHER_WAYS = {
    "counts up from the strictest": """\
def choose(cases, most_harm, confidence=0.95):
    ranked = sorted(cases, reverse=True)
    harms, best = 0, inf
    for place, (score, cheap, dear) in enumerate(ranked):
        harms += dear and not cheap
        if place + 1 < len(ranked) and ranked[place + 1][0] == score:
            continue
        if at_most(harms, len(cases), confidence) > most_harm:
            return best
        best = score
    return best
""",
    "one loop over both models": """\
class MyCascade(MyCascade):
    def flow(self, request):
        for name in (self.cheap, self.strong):
            outcome = yield Send(to(name, request))
            if not outcome.ok or name == self.strong:
                break
            if self.good_enough(request, read(outcome)):
                break
        return outcome
""",
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_only_behaviour_counts(way: str) -> None:
    """An answer that is written otherwise passes too."""
    answer = EXERCISE.answered(EXERCISE.solution, Code(OTHER_WAYS[way], SOURCE))
    verdict = judge(EXERCISE, answer)
    assert (verdict.ending, verdict.message) == ("passed", "")


DOES_NOTHING = (
    "class MyCascade(MyCascade):\n    def flow(self, request):\n"
    "        outcome = yield Send(request)\n        return outcome\n"
)


def test_a_cascade_that_only_sends_is_told_what_is_missing() -> None:
    """The request of the caller names the strong model."""
    answer = EXERCISE.answered(EXERCISE.solution, Code(DOES_NOTHING, SOURCE))
    assert "The cheap model is asked first" in judge(EXERCISE, answer).message

"""A cascade asks the cheap model first, and pays for it every time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anthropic
import pytest

from labkit.flow import Request
from labkit.layers.cascade import Cascade
from labkit.sim.faults import Fault
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Arrival
from tests.scenes import ASK, Scene

FAST, BALANCED, STRONG = "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"


class Judge:
    """Gives the scores of a list, one for each answer it is shown."""

    def __init__(self, *scores: float) -> None:
        self.scores = list(scores)
        self.seen: list[tuple[Request, Mapping[str, Any]]] = []

    def __call__(self, request: Request, message: Mapping[str, Any]) -> float:
        """Judge the next one."""
        self.seen.append((request, message))
        return self.scores.pop(0)


def models_asked(scene: Scene, cascade: Cascade, **more: Any) -> tuple[str, int]:
    """Ask once; return who answered and after how many attempts."""
    answer = scene.client(cascade).messages.create(**{**ASK, **more})
    return answer.model, len(scene.ledger.attempts)


def test_a_good_cheap_answer_is_the_answer() -> None:
    """The judge sees the question as it was asked, and the whole Message."""
    judge, scene = Judge(0.9), Scene()
    assert models_asked(scene, Cascade(FAST, STRONG, verify=judge, at_least=0.9)) == (FAST, 1)
    request, message = judge.seen[0]
    assert request.body["messages"] == ASK["messages"]
    assert message["content"][0]["text"]
    assert (
        "judged(model=claude-haiku-5-5, accepted=True, score=0.90)" in scene.ledger.calls[0].layers
    )


def test_a_poor_answer_goes_on_to_the_next() -> None:
    """Each model but the last has a threshold of its own; the last is not judged."""
    cascade = Cascade(FAST, BALANCED, STRONG, verify=Judge(0.5, 0.7), at_least=[0.6, 0.8])
    assert models_asked(Scene(), cascade) == (STRONG, 3)
    cascade = Cascade(FAST, BALANCED, STRONG, verify=Judge(0.5, 0.8), at_least=[0.6, 0.8])
    assert models_asked(Scene(), cascade) == (BALANCED, 2)


@pytest.mark.parametrize("kind", ["refusal", "out_of_tokens", "pause_turn"])
def test_half_an_answer_needs_no_judge(kind: str) -> None:
    """It goes on to the next model."""
    judge, scene = Judge(), Scene(faults=[Fault(kind, first=1)])
    assert models_asked(scene, Cascade(FAST, STRONG, verify=judge)) == (STRONG, 2)
    assert judge.seen == []


def test_a_failure_is_handed_on() -> None:
    """What to do about it is for the layers around."""
    scene = Scene(faults=[Fault("overloaded")])
    with pytest.raises(anthropic.APIStatusError):
        models_asked(scene, Cascade(FAST, STRONG, verify=Judge()))
    assert len(scene.ledger.attempts) == 1


def test_a_stream_asks_the_last_model() -> None:
    """Words that have been shown cannot be judged any more."""
    scene = Scene()
    with scene.client(Cascade(FAST, STRONG, verify=Judge())).messages.stream(**ASK) as stream:
        assert stream.get_final_message().model == STRONG
    assert len(scene.ledger.attempts) == 1


def test_it_works_the_same_for_the_async_client() -> None:
    """One source, several drivers."""
    scene = Scene()

    async def main() -> Any:
        client = scene.async_client(Cascade(FAST, STRONG, verify=Judge(0.1)))
        return await client.messages.create(**ASK)

    assert scene.run(main).model == STRONG


def test_a_fleet_escalates_its_share() -> None:
    """Three of ten escalate: thirteen attempts."""
    judge = Judge(*[1, 1, 0, 1, 1, 0, 1, 1, 0, 1])
    traffic = [Arrival(10.0 * n, STRONG, 100, 20) for n in range(10)]
    result = simulate(traffic, stack=[Cascade(FAST, STRONG, verify=judge)])
    assert list(result.attempts.model).count(STRONG) == 3
    assert len(result.attempts) == 13


def test_counting_tokens_is_not_judged() -> None:
    """Only Messages are."""
    client = Scene().client(Cascade(FAST, STRONG, verify=Judge()))
    assert client.messages.count_tokens(model=FAST, messages=ASK["messages"]).input_tokens


@pytest.mark.parametrize("thresholds", [[], [0.1, 0.2]])
def test_a_cascade_has_models_and_thresholds(thresholds: list[float]) -> None:
    """One fewer threshold than models."""
    with pytest.raises(ValueError, match="threshold"):
        Cascade(FAST, STRONG, verify=Judge(), at_least=thresholds)
    with pytest.raises(ValueError, match="two models"):
        Cascade(FAST, verify=Judge())

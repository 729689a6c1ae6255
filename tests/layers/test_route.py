"""Rules send a conversation to one model, and keep it there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.flow import Request
from labkit.layers.fallback import Fallback
from labkit.layers.route import Route, Rule, shorter_than
from labkit.layers.rungs import other_model
from labkit.sim.faults import Fault
from labkit.sim.simulate import simulate
from labkit.sim.traffic import Arrival
from tests.layers.flows import World, sends
from tests.scenes import ASK, Scene

FAST, STRONG = "claude-haiku-5-5", "claude-opus-5-5"
BY_LENGTH = Route(Rule(FAST, when=shorter_than(50), name="short"), Rule(STRONG, effort="high"))


def sent(route: Route, **body: Any) -> dict[str, Any]:
    """What is sent in place of a body."""
    asked = Request(body={**ASK, "model": "claude-sonnet-5-5", **body})
    return dict(sends(route.flow(asked), World()).request.body)


def test_the_first_rule_that_applies_decides() -> None:
    """Short questions to the small model, all others to the strong one at high effort."""
    assert sent(BY_LENGTH)["model"] == FAST
    long = [{"role": "user", "content": "Why? " * 200}]
    body = sent(BY_LENGTH, messages=long, output_config={"format": "f"})
    assert body["model"] == STRONG
    assert body["output_config"] == {"format": "f", "effort": "high"}
    assert "output_config" not in sent(BY_LENGTH)


def test_a_request_no_rule_wants_stays_as_it_is() -> None:
    """Neither model nor settings change."""
    assert sent(Route(Rule(FAST, when=lambda _: False)))["model"] == "claude-sonnet-5-5"


@given(st.lists(st.text(max_size=300), max_size=8))
def test_a_conversation_never_changes_models(words: list[str]) -> None:
    """However it goes on: prompt caches and thinking blocks are a model's own."""
    talk: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
    first = sent(BY_LENGTH, messages=talk)["model"]
    for place, text in enumerate(words):
        talk.append({"role": ("assistant", "user")[place % 2], "content": text})
        assert sent(BY_LENGTH, messages=talk)["model"] == first


def test_the_choice_is_noted() -> None:
    """The ledger says which rule sent the call where."""
    scene = Scene()
    scene.client(BY_LENGTH).messages.create(**{**ASK, "model": STRONG})
    (call,) = scene.ledger.calls
    assert call.model == FAST
    assert f"route(to={FAST}, rule=short)" in call.layers


def test_a_rung_outside_of_a_route_keeps_its_model() -> None:
    """The ladder stands inside, so that its other model is not routed back."""
    scene = Scene(faults=[Fault("overloaded", model=FAST)])
    ladder = Fallback(other_model("claude-sonnet-5-5"))
    answer = scene.client(BY_LENGTH, ladder).messages.create(**ASK)
    assert answer.model == "claude-sonnet-5-5"


def test_looking_up_models_is_not_routed() -> None:
    """A request without a model has nothing to change."""
    assert "model" not in sends(BY_LENGTH.flow(Request(method="GET")), World()).request.body


def test_a_fleet_is_routed_by_size() -> None:
    """Requests without words have a size."""
    traffic = [Arrival(n, STRONG, 10 if n % 2 else 5000, 20) for n in range(10)]
    result = simulate(traffic, stack=[BY_LENGTH])
    assert sorted(result.attempts.model) == [FAST] * 5 + [STRONG] * 5


def test_a_route_has_rules() -> None:
    """Without any it would do nothing."""
    with pytest.raises(ValueError, match="at least one"):
        Route()

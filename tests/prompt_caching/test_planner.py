"""The planner's reads and writes are those of the simulated API, to the token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import UserError
from labkit.pricing import cost, total
from labkit.prompt_caching.break_even import Lifetime
from labkit.prompt_caching.places import PLACES, marked, unmarked
from labkit.prompt_caching.planner import plan, predict
from tests.prompt_caching.families import (
    DOCUMENT,
    MODEL,
    SYSTEM,
    TOOL,
    conversation,
    questions,
    simulated,
)

Family = Callable[[int], list[dict[str, Any]]]


@pytest.mark.parametrize("every_s", [30.0, 250.0, 400.0, 4000.0])
@pytest.mark.parametrize(
    "family",
    [
        lambda count: conversation(count, system=SYSTEM),
        lambda count: conversation(count, system=SYSTEM, tools=[TOOL]),
        lambda count: questions(count),
        lambda count: questions(count, system=SYSTEM),
        lambda count: conversation(count),
    ],
    ids=["talk", "talk with tools", "document", "document and system", "short talk"],
)
def test_predictions_are_the_simulators_usage(family: Family, every_s: float) -> None:
    """Whatever placement the planner chose: every count of every answer."""
    bodies = family(5)
    chosen = plan(bodies, every_s=every_s)
    sent = [chosen.mark(body) for body in bodies]
    assert list(chosen.usages) == simulated(sent, every_s=every_s)
    assert chosen.cost == total(cost(MODEL, usage) for usage in chosen.usages)
    assert chosen.cost <= chosen.uncached_cost


lifetimes = st.sampled_from(["5m", "1h"])


@settings(max_examples=25)
@given(
    st.sets(st.sampled_from(["tools", "system", "shared"]), max_size=3),
    st.sets(st.sampled_from(["turn", "end"]), max_size=1),
    lifetimes,
    st.floats(20, 5000),
)
def test_any_placement_is_predicted_to_the_token(
    fixed: set[str], moving: set[str], lifetime: Lifetime, every_s: float
) -> None:
    """Not only the best one: reads, writes of both lifetimes, and what is paid in full."""
    places: dict[str, Lifetime] = {place: lifetime for place in PLACES if place in fixed}
    places.update(dict.fromkeys(moving, "5m"))
    bodies = [marked(body, places, (0, 0)) for body in conversation(4, system=SYSTEM, tools=[TOOL])]
    starts = [number * every_s for number in range(4)]
    assert predict(bodies, starts, first_token_s=2.0) == simulated(bodies, every_s=every_s)


def test_a_conversation_wants_a_breakpoint_that_moves_along() -> None:
    """The automatic one; and most of the prompt is read."""
    chosen = plan(conversation(12, system=SYSTEM), every_s=60)
    assert "end" in chosen.places
    assert chosen.cost < chosen.uncached_cost / 2
    assert chosen.reads > 5 * chosen.writes


def test_questions_to_one_document_want_it_behind_the_document() -> None:
    """Not behind the question, which nobody asks again."""
    chosen = plan(questions(6, system="Be brief."), every_s=60)
    assert dict(chosen.places) == {"shared": "5m"}
    assert chosen.shared == (0, 0)
    marked_body = chosen.mark(questions(1)[0])
    assert "cache_control" in marked_body["messages"][0]["content"][0]
    assert "cache_control" not in marked_body["messages"][0]["content"][1]


def test_long_pauses_want_a_long_life() -> None:
    """Ten minutes apart an entry of five minutes is never read; hours apart none is."""
    assert set(plan(questions(6), every_s=600).places.values()) == {"1h"}
    assert plan(questions(6), every_s=7200).places == {}


def test_what_is_too_short_gets_no_breakpoint() -> None:
    """The API would ignore it in silence."""
    short = [
        {**body, "messages": [{"role": "user", "content": f"{n}?"}]}
        for n, body in enumerate(questions(4))
    ]
    assert plan(short).places == {}


def test_marks_of_before_are_taken_off() -> None:
    """A plan says where all breakpoints are, and its bodies say the same words."""
    (body,) = questions(1, system=SYSTEM, tools=[TOOL])
    everywhere = marked(body, {"tools": "1h", "system": "1h", "shared": "5m", "end": "5m"}, (0, 0))
    assert marked(body, {"shared": "1h", "end": "5m"}, (0, 1)) == marked(
        body, {"shared": "1h"}, (0, 1)
    )
    assert str(everywhere).count("ephemeral") == 4
    assert unmarked(everywhere) == unmarked(body)
    assert "ephemeral" not in str(unmarked(everywhere))
    assert unmarked(body)["system"] == [{"type": "text", "text": SYSTEM}]
    assert DOCUMENT in str(unmarked(body))


def test_a_family_is_two_requests_to_one_model() -> None:
    """One alone says nothing, and a prompt cache is a model's own."""
    one, two = questions(2)
    for family in ([], [one], [one, {**two, "model": "claude-opus-5-5"}]):
        with pytest.raises(UserError, match="family"):
            plan(family)

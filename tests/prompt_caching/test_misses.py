"""Every miss has a sentence, from the API's diagnostics or from the two requests alone."""

from __future__ import annotations

from typing import Any

import pytest

from labkit.prompt_caching.misses import explain, why_missed
from labkit.sim.core import SimulatedApi
from labkit.sim.transport import Simulated
from tests.prompt_caching.families import MODEL, SYSTEM, TOOL, ask, conversation
from tests.scenes import Scene

CONTROL = {"cache_control": {"type": "ephemeral"}}
FIRST = ask("Hello", system=SYSTEM, tools=[TOOL], **CONTROL)
THEN = ask("Hello", "Hi.", "Why?", system=SYSTEM, tools=[TOOL], **CONTROL)


def diagnosed(later: dict[str, Any], *, name: bool = True) -> Any:
    """Send the first request and a later one, and return what the API says about the second."""
    client: Any = Scene(Simulated(SimulatedApi())).client()
    first = client.messages.create(**FIRST, diagnostics={"previous_message_id": None})
    named = first.id if name else "msg_sim000000000000000000000"
    return client.messages.create(**later, diagnostics={"previous_message_id": named})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "claude-opus-5-5"}, "the model"),
        ({"tools": [TOOL, {**TOOL, "name": "other"}]}, "the tools have changed"),
        ({"system": SYSTEM + "Today is Monday."}, "the system prompt has changed"),
        ({"messages": [{"role": "user", "content": "Hallo"}]}, "an earlier message has changed"),
        ({"tool_choice": {"type": "none"}}, "only settings have changed"),
    ],
)
def test_the_apis_diagnosis_is_said_in_a_sentence(change: dict[str, Any], words: str) -> None:
    """As the simulated API gives it, the missed tokens included where it tells them."""
    message = diagnosed({**THEN, **change})
    told = explain(message.diagnostics)
    assert told is not None
    assert words in told
    assert told == explain(message.diagnostics.model_dump())
    missed = message.diagnostics.cache_miss_reason.type not in ("unavailable",)
    assert told.startswith("Missed ") is missed


def test_no_change_needs_no_sentence() -> None:
    """A conversation that only grows, and a question that was not asked."""
    assert explain(diagnosed(THEN).diagnostics) is None
    assert explain(None) is None
    unknown = explain(diagnosed(THEN, name=False).diagnostics)
    assert unknown is not None
    assert "not known" in unknown
    assert "'brand_new'" in str(explain({"cache_miss_reason": {"type": "brand_new"}}))


@pytest.mark.parametrize(
    ("before", "after", "apart_s", "words"),
    [
        (FIRST, THEN, 60, "Not missed"),
        (FIRST, THEN, 300, "more than the entry lives"),
        (FIRST, THEN, 1, "had not begun"),
        (ask("Hello", **CONTROL), THEN, 60, "512 needed"),
        (ask("Hello", system=SYSTEM), THEN, 60, "no breakpoint"),
        (FIRST, {**THEN, "model": "claude-opus-5-5"}, 60, "the model"),
        (FIRST, {**THEN, "system": "Other."}, 60, "the system prompt has changed"),
        (FIRST, {**THEN, "tools": []}, 60, "the tools have changed"),
        (FIRST, ask("Bye", system=SYSTEM, tools=[TOOL], **CONTROL), 60, "earlier message"),
        (FIRST, ask("Hello", system=SYSTEM, tools=[TOOL]), 60, "later request has no breakpoint"),
    ],
)
def test_two_requests_tell_most_of_it_alone(
    before: dict[str, Any], after: dict[str, Any], apart_s: float, words: str
) -> None:
    """Time, length and place too, which the API does not compare."""
    assert words in why_missed(before, after, apart_s=apart_s)


def test_a_turn_of_twenty_blocks_is_out_of_sight() -> None:
    """A read looks back over twenty positions, the breakpoint's own among them."""
    first = conversation(1, system=SYSTEM, **CONTROL)[0]
    for blocks, words in ((19, "Not missed"), (20, "20 blocks or more")):
        grown = [
            *first["messages"],
            {"role": "user", "content": [{"type": "text", "text": str(n)} for n in range(blocks)]},
        ]
        assert words in why_missed(first, {**first, "messages": grown}, apart_s=60)
    assert first["model"] == MODEL

"""A script decides what is said where it applies, and is refused where it makes no sense."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from labkit.errors import UserError
from labkit.sim.answers import Composed, Said, Script, compose
from labkit.sim.answers.thinking import SIGNATURE

CALL = {"type": "tool_use", "name": "get_weather", "input": {"city": "Berlin"}}


def say(script: Script, turn: str = "Hello.", *, number: int = 1, **change: Any) -> Composed:
    """Return what is said to a turn under a script."""
    messages = [{"role": "user", "content": turn}]
    body = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": messages, **change}
    return compose(body, random.Random(0), number=number, script=script)


def text(composed: Composed) -> str:
    """Return the words."""
    return "".join(block["text"] for block in composed.content if block["type"] == "text")


def test_a_request_is_told_by_its_number() -> None:
    """The second request gets the second reply, any other one the usual."""
    script: Script = {1: "one", 2: "two"}
    assert [text(say(script, number=n)) for n in (2, 1)] == ["two", "one"]
    assert text(say(script, number=3)).startswith("Simulated answer to")


def test_a_request_is_told_by_a_word_a_pattern_or_a_function() -> None:
    """Words in any case of letters; patterns as they are written; functions see the body."""
    script: Script = {
        "refund": "by word",
        re.compile(r"order \d+"): "by pattern",
        lambda body: body["max_tokens"] > 100: "by function",
    }
    assert text(say(script, "A REFUND, please")) == "by word"
    assert text(say(script, "Where is order 17?")) == "by pattern"
    assert text(say(script, max_tokens=101)) == "by function"
    assert text(say(script, "Where is order x?")).startswith("Simulated answer to")


def test_the_first_entry_that_applies_decides() -> None:
    """Entries are tried in their order."""
    assert text(say({"hello": "first", 1: "second"})) == "first"


def test_a_reply_may_depend_on_the_request() -> None:
    """A function makes the reply from the body."""
    script: Script = {1: lambda body: f"{len(body['messages'])} turn"}
    assert text(say(script)) == "1 turn"


def test_blocks_are_sent_as_they_are_but_for_what_they_lack() -> None:
    """A tool call gets an id, thinking a signature; other blocks are nobody's business here."""
    other = {"type": "redacted_thinking", "data": "abc"}
    thinking = {"type": "thinking", "thinking": "Hm."}
    composed = say({1: [thinking, other, {**CALL, "id": "toolu_mine"}, CALL]})
    assert composed.content[0]["signature"].startswith(SIGNATURE)
    assert composed.content[1] == other
    assert [block["id"][:9] for block in composed.content[2:]] == ["toolu_min", "toolu_sim"]
    assert composed.stop_reason == "tool_use"
    assert composed.thinking_tokens == 2


def test_scripted_words_are_thought_about_too_where_thinking_is_on() -> None:
    """A script replaces what is said, not how the model works."""
    composed = say({1: "Yes."}, thinking={"type": "adaptive"})
    assert [block["type"] for block in composed.content] == ["thinking", "text"]


def test_a_script_obeys_the_limits_of_the_request() -> None:
    """`max_tokens` and stop sequences hold for scripted words as for any."""
    assert say({1: "x" * 999}, max_tokens=10).stop_reason == "max_tokens"
    assert text(say({1: "one two"}, stop_sequences=["two"])) == "one "


def test_a_stop_reason_may_be_scripted() -> None:
    """A refusal brings its details; a pause and an empty answer need nothing more."""
    refused = say({1: Said("I", stop_reason="refusal")})
    assert refused.stop_reason == "refusal"
    assert refused.stop_details is not None
    assert refused.stop_details["type"] == "refusal"
    own = {"type": "refusal", "category": "cyber", "explanation": "No."}
    assert say({1: Said("", "refusal", own)}).stop_details == own
    assert say({1: Said("Wait.", "pause_turn")}).stop_reason == "pause_turn"
    empty = say({1: ""})
    assert (empty.content, empty.stop_reason) == ((), "end_turn")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Said(stop_reason="tired"),
        lambda: Said(["text"]),  # type: ignore[list-item]
        lambda: Said([{"text": "no type"}]),
        lambda: Said([{"type": "tool_use", "name": "x"}]),
        lambda: Said([{"type": "text"}]),
        lambda: Said([{"type": "text", "text": {1, 2}}]),
        lambda: say({1: lambda _: [{"type": 5}]}),
    ],
)
def test_what_the_api_could_not_say_is_refused(make: Any) -> None:
    """A mistake in a script is an error that says what is wrong."""
    with pytest.raises(UserError):
        make()

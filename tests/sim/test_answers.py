"""What the simulated API says: which rule answers, under which limits, and that nothing fails."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import model
from labkit.sim.answers import Composed, answer, compose
from labkit.sim.answers.composed import block_tokens
from labkit.sim.answers.thinking import SIGNATURE
from labkit.sim.tokens import count_text

WHY = "Why do queues grow?"
WEATHER = {
    "name": "get_weather",
    "description": "Get the weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
USUAL = {
    "0/1/a": "The first answer is rarely the slowest one. "
    "Small delays in one place become long ones in another.",
    "7/2/b": "A request that fails now may well succeed a little later. "
    "What is not measured is paid for all the same. "
    "Small delays in one place become long ones in another.",
}
"""What lessons were recorded with, by the seed of the dice."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=9,
)
tools = st.fixed_dictionaries(
    {"name": st.sampled_from(["get_weather", "queue"]) | json_values, "input_schema": json_values},
    optional={"description": json_values},
)
strange = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.lists(tools | json_values, max_size=3) | json_values,
        "tool_choice": st.fixed_dictionaries({"type": st.sampled_from(["any", "tool", "none"])})
        | json_values,
        "thinking": st.fixed_dictionaries(
            {"type": st.sampled_from(["adaptive", "enabled", "between_tools"])},
            optional={"display": json_values},
        )
        | json_values,
        "output_config": st.fixed_dictionaries(
            {},
            optional={
                "effort": json_values,
                "format": st.fixed_dictionaries({"type": st.just("json_schema")})
                | st.builds(lambda s: {"type": "json_schema", "schema": s}, json_values),
            },
        )
        | json_values,
        "output_format": json_values,
        "stop_sequences": st.lists(st.text(max_size=2) | json_values, max_size=3) | json_values,
        "system": json_values,
    },
)
turns = st.sampled_from(
    [WHY, "Summarise this. FACT: a. My dog is Rex.", "What is 2 + 2?", "Classify as one of: a, b"]
) | st.text(max_size=40)
contents = turns | st.lists(
    st.builds(lambda text: {"type": "text", "text": text}, turns)
    | st.builds(lambda c: {"type": "tool_result", "tool_use_id": "t", "content": c}, json_values),
    max_size=3,
)


def ask(content: Any, **change: Any) -> dict[str, Any]:
    """Return a request with one turn of the user."""
    messages = [{"role": "user", "content": content}]
    return {"model": "claude-sonnet-5-5", "max_tokens": 500, "messages": messages, **change}


def say(content: Any, *, seed: int = 0, number: int = 1, **change: Any) -> Composed:
    """Return what is said to one turn of the user."""
    return compose(ask(content, **change), random.Random(seed), seed=seed, number=number)


def words(composed: Composed) -> str:
    """Return the text of what is said."""
    return "".join(block["text"] for block in composed.content if block["type"] == "text")


@pytest.mark.parametrize("name", USUAL)
def test_the_usual_answer_is_what_lessons_were_recorded_with(name: str) -> None:
    """A plain question gets the very words it always got, drawn from the same dice."""
    expected = f'Simulated answer to "{WHY}". {USUAL[name]}'
    dice = random.Random(name)
    assert words(compose(ask(WHY), dice)) == expected
    assert answer(ask(WHY), random.Random(name)) == expected
    other = random.Random(name)
    answer(ask(WHY), other)
    assert dice.random() == other.random()


def test_what_is_remembered_may_stand_in_the_system_prompt() -> None:
    """A summary that a program keeps in the system prompt is known, but a newer turn is newer."""
    told: dict[str, Any] = {"system": "Summary so far. FACT: my name is Ada."}
    assert words(say("What is my name?", **told)) == "Simulated answer. Your name is Ada."
    newer = say("My name is Bo. What is my name?", **told)
    assert words(newer) == "Simulated answer. Your name is Bo."


@given(contents, st.integers(0, 60), strange, st.integers(0, 3))
def test_anything_valid_enough_is_answered(
    content: Any, most: int, change: dict[str, Any], number: int
) -> None:
    """Whatever JSON the optional fields hold, there is an answer that can be sent."""
    composed = say(content, number=number, **{**change, "max_tokens": most})
    json.dumps(composed.content, allow_nan=False)
    assert 0 <= composed.output_tokens <= most
    assert composed.output_tokens >= sum(
        block_tokens(each, "claude-sonnet-5-5", composed.thinking_tokens)
        for each in composed.content
    )
    assert (composed.stop_reason == "max_tokens") <= (composed.output_tokens == most)


@given(contents, strange, st.integers(0, 5), st.integers(1, 5))
def test_the_same_request_gets_the_same_answer(
    content: Any, change: dict[str, Any], seed: int, number: int
) -> None:
    """Seed, number and request decide everything."""
    one, other = (say(content, seed=seed, number=number, **change) for _ in range(2))
    assert one == other


@given(st.text(max_size=30), st.integers(0, 80))
def test_an_answer_ends_at_max_tokens(content: str, most: int) -> None:
    """A longer answer is cut to the very token, a shorter one is left alone."""
    whole, cut = say(content), say(content, max_tokens=most)
    assert words(whole).startswith(words(cut))
    assert cut.output_tokens == min(most, whole.output_tokens)
    assert (cut.stop_reason == "max_tokens") == (most < whole.output_tokens)


def test_no_tokens_are_no_content() -> None:
    """`max_tokens: 0` only fills the prompt cache."""
    composed = say(WHY, max_tokens=0)
    assert (composed.content, composed.stop_reason, composed.output_tokens) == ((), "max_tokens", 0)


def test_an_answer_ends_at_the_first_stop_sequence() -> None:
    """The text ends before whichever comes first, and the answer says which it was."""
    whole = words(say(WHY))
    composed = say(WHY, stop_sequences=["?", "answer", "nowhere"])
    assert words(composed) == whole[: whole.index("answer")]
    assert (composed.stop_reason, composed.stop_sequence) == ("stop_sequence", "answer")
    assert composed.output_tokens == count_text(words(composed), "claude-sonnet-5-5")


def test_a_stop_sequence_beyond_max_tokens_is_never_reached() -> None:
    """What comes first ends the answer."""
    composed = say(WHY, stop_sequences=["grow"], max_tokens=3)
    assert (composed.stop_reason, composed.stop_sequence) == ("max_tokens", None)


def test_an_answer_ends_where_the_context_window_does() -> None:
    """A prompt that nearly fills the window leaves room for so many tokens and no more."""
    window = model("claude-sonnet-5-5").context_window
    assert window is not None
    composed = compose(ask(WHY), random.Random(0), prompt_tokens=window - 5)
    assert composed.stop_reason == "model_context_window_exceeded"
    assert composed.output_tokens == 5


def test_a_tool_call_that_does_not_fit_is_left_out() -> None:
    """Half a call is worse than none: the answer ends with max_tokens before it."""
    composed = say("What is the weather in Berlin?", tools=[WEATHER], max_tokens=3)
    assert composed.content == ()
    assert (composed.stop_reason, composed.output_tokens) == ("max_tokens", 3)


THINKING = {"type": "adaptive", "display": "summarized"}
LOW = {"effort": "low"}
CALL = {"type": "tool_use", "id": "t", "name": "count", "input": {}}


def test_thinking_comes_first_and_is_signed() -> None:
    """The block says that it is simulated, and its tokens are part of the output."""
    plain, thought = say(WHY), say(WHY, thinking=THINKING)
    block, *rest = thought.content
    assert rest == list(plain.content)
    assert block["thinking"].startswith("Simulated thinking")
    assert block["signature"].startswith(SIGNATURE)
    assert thought.thinking_tokens == count_text(block["thinking"], "claude-sonnet-5-5")
    assert thought.output_tokens == plain.output_tokens + thought.thinking_tokens
    assert plain.thinking_tokens == 0


def test_thinking_tokens_are_told_where_thinking_is_on_and_by_newer_models() -> None:
    """None of them is a zero there, and nothing is told elsewhere."""
    old, enabled = "claude-haiku-4-5", {"type": "enabled", "budget_tokens": 1024}
    assert say(WHY, model=old).thinking_tokens is None
    assert say(WHY, model=old, thinking=enabled).thinking_tokens
    assert say(WHY, thinking={"type": "adaptive"}, output_config=LOW).thinking_tokens == 0


def test_an_answer_to_tool_results_thinks_no_more_where_thinking_is_enabled() -> None:
    """Recorded so: what was thought stands before the call; adaptive thinking goes on."""
    turns = [
        {"role": "user", "content": WHY},
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "1"}]},
    ]
    enabled = {"type": "enabled", "budget_tokens": 1024}
    for thinking, kinds in ((enabled, ["text"]), ({"type": "adaptive"}, ["thinking", "text"])):
        body = {**ask(WHY, model="claude-sonnet-4-6", thinking=thinking), "messages": turns}
        content = compose(body, random.Random(0)).content
        assert [block["type"] for block in content] == kinds


def test_a_scripted_redacted_thought_is_all_the_thinking_there_is() -> None:
    """Nothing is put before it."""
    said = [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "So."}]
    body = ask(WHY, thinking=THINKING)
    assert list(compose(body, random.Random(0), script={1: said}).content) == said


@pytest.mark.parametrize(
    ("name", "thinking", "is_shown"),
    [
        ("claude-sonnet-5-5", {"type": "adaptive"}, False),
        ("claude-sonnet-5-5", {"type": "adaptive", "display": "omitted"}, False),
        ("claude-opus-4-6", {"type": "adaptive", "display": "omitted"}, False),
        ("claude-opus-4-6", {"type": "adaptive"}, True),
        ("claude-haiku-4-5", {"type": "enabled", "budget_tokens": 1024}, True),
    ],
)
def test_thinking_is_shown_where_it_is_asked_for_or_was_usual(
    name: str, thinking: dict[str, Any], is_shown: bool
) -> None:
    """Thinking that is left out is an empty block, paid for all the same."""
    composed = say(WHY, model=name, thinking=thinking)
    assert bool(composed.content[0]["thinking"]) == is_shown
    assert composed.thinking_tokens
    assert composed.output_tokens > composed.thinking_tokens


def test_more_effort_thinks_longer() -> None:
    """Adaptive thinking is none at low effort, and grows with every level after that."""
    tokens = [
        say(WHY, thinking=THINKING, output_config={"effort": effort}).thinking_tokens
        for effort in ("low", "medium", "high", "xhigh", "max")
    ]
    assert tokens[0] == 0
    assert tokens == sorted(set(tokens), key=lambda each: each or 0)


def test_thinking_between_tools_waits_for_a_result() -> None:
    """It does not think up front, only once a tool has answered."""
    result = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "18 degrees"}]
    before = say(WHY, thinking={"type": "between_tools"})
    after = say(result, thinking={"type": "between_tools"})
    assert [each["type"] for each in before.content] == ["text"]
    assert [each["type"] for each in after.content] == ["thinking", "text"]


def test_thinking_is_cut_by_max_tokens_too() -> None:
    """An answer may end before it has begun to speak."""
    composed = say(WHY, thinking=THINKING, max_tokens=4)
    assert [each["type"] for each in composed.content] == ["thinking"]
    assert (composed.stop_reason, composed.thinking_tokens) == ("max_tokens", 4)


def test_rules_apply_in_their_order() -> None:
    """A tool goes before a schema, a schema before a label, a label before a summary."""
    both = "Classify this mail as one of: spam, ham. It is spam; summarise it. What is my name?"
    schema = {"type": "object", "properties": {"label": {"enum": ["ham", "spam"]}}}
    formatted: dict[str, Any] = {
        "output_config": {"format": {"type": "json_schema", "schema": schema}}
    }
    right: dict[str, Any] = {"model": "claude-opus-5-5"}
    assert words(say(both, **right)) == "spam"
    assert json.loads(words(say(both, **right, **formatted))) == {"label": "spam"}
    called = say(f"{both} And the weather?", tools=[WEATHER], **formatted)
    assert [each["type"] for each in called.content] == ["tool_use"]
    assert words(say("Summarise: what is my name?")).startswith("Simulated summary")

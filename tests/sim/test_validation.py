"""What is refused, with which words, and that nothing that JSON may hold breaks the judge."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import models
from labkit.recorded.exchange import Exchange, exchanges
from labkit.recorded.tolerant_yaml import read_yaml
from labkit.sim.model_rules import model_rules
from labkit.sim.problem import ApiError
from labkit.sim.validation import LONG_OUTPUT, batch_complaint, complaint

NEW, OLD = "2026-10-21", "2023-06-01"
TODAY = date(2026, 11, 22)
RECORDINGS = Path("../shared/recordings")
Body = dict[str, Any]

HELLO: Body = {
    "model": "claude-haiku-5-5",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "Hello"}],
}
WEATHER = {"name": "weather", "input_schema": {"type": "object"}}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "rain"}
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}


def user(content: Any) -> Body:
    """A user's message."""
    return {"role": "user", "content": content}


def assistant(content: Any) -> Body:
    """An assistant's message."""
    return {"role": "assistant", "content": content}


def system(content: Any) -> Body:
    """A system message in mid-conversation."""
    return {"role": "system", "content": content}


def said(text: str = "Hello", **more: Any) -> Body:
    """A text block."""
    return {"type": "text", "text": text, **more}


def marked(ttl: str | None = None) -> Body:
    """A text block with a breakpoint."""
    return said(cache_control={"type": "ephemeral", **({"ttl": ttl} if ttl else {})})


def hello(**changes: Any) -> Body:
    """The plain request with some fields changed; None takes one away."""
    return {key: value for key, value in {**HELLO, **changes}.items() if value is not None}


def verdict(body: object, **how: Any) -> tuple[int, str] | None:
    """Return status and message of what is wrong, on the newest version unless told."""
    found = complaint(body, **{"version": NEW, "today": TODAY, **how})
    return None if found is None else (found.status, found.message)


RICH: Body = hello(
    model="claude-opus-4-8",
    max_tokens=4000,
    system=[said("Be brief.", cache_control={"type": "ephemeral", "ttl": "1h"})],
    messages=[
        user([IMAGE, said("What is it like in Oslo?")]),
        assistant([{"type": "thinking", "thinking": "", "signature": "s"}, CALL]),
        user([{**RESULT, "content": [said("rain"), IMAGE], "is_error": False}]),
        assistant("It rains."),
        user([marked("5m")]),
        system("Answer in Norwegian."),
    ],
    tools=[{**WEATHER, "description": "d"}, {"type": "web_search_20250305", "name": "web_search"}],
    tool_choice={"type": "auto", "disable_parallel_tool_use": True},
    thinking={"type": "adaptive", "display": "summarized"},
    output_config={"effort": "xhigh", "format": {"type": "json_schema", "schema": {}}},
    cache_control={"type": "ephemeral"},
    metadata={"user_id": "u"},
    stop_sequences=["end"],
    stream=True,
    service_tier="auto",
    inference_geo="us",
    speed="fast",
    diagnostics={"previous_message_id": None},
)
SEVERAL = [
    said("Is it raining?"),
    *({**said(str(place)), "cache_control": {"type": "ephemeral"}} for place in range(4)),
]

SHAPES: list[tuple[object, str]] = [
    ([], "Input should be an object"),
    ({}, "model: Field required"),
    (hello(max_tokens=None), "max_tokens: Field required"),
    (hello(messages=None), "messages: Field required"),
    (hello(model=3), "model: Input should be a valid string"),
    (hello(max_tokens=True), "max_tokens: Input should be a valid integer"),
    (hello(max_tokens=1.5), "max_tokens: Input should be a valid integer"),
    (hello(max_tokens=-1), "max_tokens: Input should be greater than or equal to 0"),
    (hello(messages="Hello"), "messages: Input should be a valid list"),
    (hello(messages=[]), "messages: at least one message is required"),
    (hello(messages=["Hello"]), "messages.0: Input should be an object"),
    (
        hello(messages=[{"role": "tool", "content": "x"}]),
        "messages.0.role: Input should be 'user', 'assistant' or 'system'",
    ),
    (hello(messages=[{"role": "user"}]), "messages.0.content: Field required"),
    (hello(messages=[user(3)]), "messages.0.content: Input should be a valid list"),
    (
        hello(messages=[{**user("x"), "name": "Ada"}]),
        "messages.0.name: Extra inputs are not permitted",
    ),
    (hello(messages=[user([{"text": "x"}])]), "messages.0.content.0.type: Field required"),
    (
        hello(messages=[user([{"type": "text"}])]),
        "messages.0.content.0.text.text: Field required",
    ),
    (
        hello(messages=[user("x"), assistant([{**CALL, "id": "a b"}])]),
        "messages.1.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    (hello(stream="yes"), "stream: Input should be a valid boolean"),
    (hello(colour="red"), "colour: Extra inputs are not permitted"),
    (hello(temperature=1.0), "temperature: Extra inputs are not permitted"),
    (hello(service_tier="gold"), "service_tier: Input should be 'auto' or 'standard_only'"),
    (hello(stop_sequences="end"), "stop_sequences: Input should be a valid list"),
    (
        hello(output_config={"effort": "extreme"}),
        "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
    ),
    (
        hello(thinking={"type": "enabled", "budget_tokens": 1000}),
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    (hello(thinking={}), "thinking.type: Field required"),
    (
        hello(tools=[{**WEATHER, "name": "what is it"}]),
        "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
    ),
    (hello(tools=[{"name": "weather"}]), "tools.0.custom.input_schema: Field required"),
    (
        hello(tools=[{**WEATHER, "input_schema": {"type": "array"}}]),
        "tools.0.custom.input_schema.type: Input should be 'object'",
    ),
    (
        hello(messages=[user([{**marked(), "cache_control": {"type": "ephemeral", "ttl": "2h"}}])]),
        "messages.0.content.0.text.cache_control.ttl: Input should be '5m' or '1h'",
    ),
]
CONVERSATIONS: list[tuple[Body, str]] = [
    (hello(messages=[assistant("Hi")]), 'messages: first message must use the "user" role'),
    (hello(messages=[system("Hi"), user("x")]), "messages.0: use the top-level 'system' parameter"),
    (
        hello(messages=[user("a"), assistant("b"), system("c"), user("d")]),
        "messages.2: role 'system' must follow a 'user' message or an 'assistant' message ending "
        "in a server tool result; the directive-only form (content: [] with output_config) is "
        "accepted at any position",
    ),
    (
        hello(messages=[user("a"), system("b"), user("c")]),
        "messages.1: role 'system' must precede an 'assistant' message or end the array; the "
        "directive-only form (content: [] with output_config) is accepted at any position",
    ),
    (
        hello(messages=[user("a"), system("b")], model="claude-opus-4-7"),
        "role 'system' is not supported on this model",
    ),
    (
        hello(messages=[user("a"), assistant("Well, ")]),
        "This model does not support assistant message prefill. The conversation must end with a "
        "user message.",
    ),
    (
        hello(messages=[user("a"), assistant("Well, ")], model="claude-haiku-4-5"),
        "messages: final assistant content cannot end with trailing whitespace",
    ),
    (
        hello(messages=[user("")]),
        "messages.0: all messages must have non-empty content except for the optional final "
        "assistant message",
    ),
    (hello(messages=[user([said("")])]), "messages: text content blocks must be non-empty"),
    (hello(system=[said("")]), "system: text content blocks must be non-empty"),
    (
        hello(messages=[user([CALL])]),
        "messages.0.content.0: `tool_use` blocks can only be in `assistant` messages",
    ),
    (
        hello(messages=[user("a"), assistant([RESULT]), user("b")]),
        "messages.1.content.0: `tool_result` blocks can only be in `user` messages",
    ),
]
MISSING = (
    "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: "
    "toolu_1. Each `tool_use` block must have a corresponding `tool_result` block in the next "
    "message."
)
UNEXPECTED = (
    ": unexpected `tool_use_id` found in `tool_result` blocks: toolu_1. Each `tool_result` block "
    "must have a corresponding `tool_use` block in the previous message."
)
TOOLS: list[tuple[list[Body], str | None]] = [
    ([user("a"), assistant([CALL]), user([RESULT])], None),
    ([user("a"), assistant([CALL]), assistant("Wait."), user([RESULT, said()])], None),
    ([user("a"), assistant([CALL]), user("b")], MISSING),
    ([user("a"), assistant([CALL])], MISSING),
    ([user("a"), assistant([CALL]), user([said(), RESULT])], MISSING),
    ([user([RESULT])], f"messages.0.content.0{UNEXPECTED}"),
    (
        [user("a"), assistant([CALL]), user([RESULT]), assistant("b"), user([RESULT])],
        f"messages.4.content.0{UNEXPECTED}",
    ),
    (
        [user("a"), assistant([CALL, CALL]), user([RESULT])],
        "messages.1.content.1: `tool_use` ids must be unique",
    ),
    (
        [user("a"), assistant([CALL]), user([RESULT, RESULT])],
        "messages.2.content.1: each tool_use must have a single result. Found multiple "
        "`tool_result` blocks with id: toolu_1",
    ),
]
ORDER = "Note that blocks are processed in the following order: `tools`, `system`, `messages`."
BREAKPOINTS: list[tuple[Body, str | None]] = [
    (hello(messages=[user(SEVERAL)]), None),
    (
        hello(messages=[user(SEVERAL)], system=[marked()]),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    (
        hello(messages=[user([*SEVERAL, said()])], cache_control={"type": "ephemeral"}),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    (hello(messages=[user(SEVERAL)], cache_control={"type": "ephemeral", "ttl": "5m"}), None),
    (
        hello(
            model="claude-haiku-4-5",
            system=[marked()],
            messages=[
                user(SEVERAL[:3]),
                assistant([CALL]),
                user([{**RESULT, "content": [marked(), marked()]}]),
            ],
        ),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    (
        hello(messages=[user([marked()])], cache_control={"type": "ephemeral", "ttl": "1h"}),
        "cache_control: the last block already has a breakpoint with ttl='5m', so the automatic "
        "one cannot have ttl='1h'",
    ),
    (hello(messages=[user([marked("5m")])], system=[marked("1h")]), None),
    (
        hello(messages=[user([said(), marked("1h")])], system=[marked()]),
        "messages.0.content.1.cache_control.ttl: a ttl='1h' cache_control block must not come "
        f"after a ttl='5m' cache_control block. {ORDER}",
    ),
    (
        hello(system=[marked()], cache_control={"type": "ephemeral", "ttl": "1h"}),
        "cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
        f"cache_control block. {ORDER}",
    ),
]
ADAPTIVE = 'Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.'
BUDGET = {"type": "enabled", "budget_tokens": 2000}
THINKING: list[tuple[str, Body, str | None, str | None]] = [
    ("claude-opus-5-5", {"type": "adaptive"}, "max", None),
    (
        "claude-opus-5-5",
        {"type": "disabled"},
        None,
        f'"thinking.type.disabled" is not supported for this model. {ADAPTIVE}',
    ),
    ("claude-sonnet-5-5", {"type": "between_tools"}, "high", None),
    (
        "claude-sonnet-5-5",
        {"type": "between_tools"},
        "xhigh",
        "output_config.effort 'xhigh' is not supported when thinking is 'between_tools' on this "
        "model. Use effort 'high' or below, or enable thinking.",
    ),
    (
        "claude-sonnet-5-5",
        {"type": "disabled"},
        None,
        '"thinking.type.disabled" is not supported for this model. Use '
        '"thinking.type.between_tools" instead.',
    ),
    ("claude-haiku-5-5", {"type": "disabled"}, "high", None),
    (
        "claude-haiku-5-5",
        {"type": "disabled"},
        "max",
        "output_config.effort 'max' is not supported when thinking is disabled on this model. "
        "Use effort 'high' or below, or enable thinking.",
    ),
    (
        "claude-opus-4-8",
        BUDGET,
        None,
        f'"thinking.type.enabled" is not supported for this model. {ADAPTIVE}',
    ),
    ("claude-opus-4-6", BUDGET, "max", None),
    ("claude-haiku-4-5", BUDGET, None, None),
    (
        "claude-haiku-4-5",
        {"type": "adaptive"},
        None,
        "adaptive thinking is not supported on this model",
    ),
    (
        "claude-haiku-4-5",
        {"type": "enabled", "budget_tokens": 3000},
        None,
        "`max_tokens` must be greater than `thinking.budget_tokens`.",
    ),
    (
        "claude-haiku-4-5",
        {"type": "disabled"},
        "low",
        "This model does not support the effort parameter.",
    ),
    (
        "claude-opus-4-5",
        {"type": "disabled"},
        "max",
        "This model does not support effort level 'max'. Supported levels: high, low, medium.",
    ),
]
PASSING: list[Body] = [
    hello(
        model="claude-opus-5-5",
        messages=[user("a"), assistant([{**CALL, "type": "server_tool_use"}])],
    ),
    hello(model="claude-haiku-4-5", messages=[user("a"), assistant("")]),
    hello(messages=[user("a"), {**system([]), "output_config": {"effort": "low"}}, user("b")]),
    hello(thinking={"block_binding": {"prefix_mismatch_behavior": "drop_block"}}),
    hello(messages=[user("a"), user("b")]),
    hello(messages=[user("a"), system("b"), system("c"), assistant("d"), user("e")]),
]
FORCED = 'tool_choice: type "tool" and "any" are not supported for this model.'
NO_OUTPUT = "max_tokens: 0 cannot be combined with "
ASKED: list[tuple[Body, str | None]] = [
    (hello(max_tokens=128_000), None),
    (
        hello(max_tokens=64_001, model="claude-haiku-4-5"),
        "max_tokens: 64001 > 64000, which is the maximum allowed number of output tokens for "
        "claude-haiku-4-5-20251001",
    ),
    (hello(max_tokens=0), None),
    (hello(max_tokens=0, stream=True), f"{NO_OUTPUT}stream"),
    (
        hello(max_tokens=0, thinking=BUDGET, model="claude-haiku-4-5"),
        f"{NO_OUTPUT}thinking.type.enabled",
    ),
    (
        hello(
            max_tokens=3000,
            thinking=BUDGET,
            model="claude-haiku-4-5",
            tools=[WEATHER],
            tool_choice={"type": "any"},
        ),
        "Thinking may not be enabled when tool_choice forces tool use.",
    ),
    (
        hello(max_tokens=0, tools=[WEATHER], tool_choice={"type": "any"}),
        f"{NO_OUTPUT}a tool_choice that forces tool use",
    ),
    (
        hello(max_tokens=0, output_config={"format": {"type": "json_schema", "schema": {}}}),
        f"{NO_OUTPUT}output_config.format",
    ),
    (hello(tools=[WEATHER], tool_choice={"type": "tool", "name": "weather"}), None),
    (
        hello(tools=[WEATHER], tool_choice={"type": "any"}, model="claude-opus-5-5"),
        FORCED,
    ),
    (hello(tools=[WEATHER], tool_choice={"type": "any"}, model="claude-fable-5"), None),
    (hello(tools=[WEATHER], tool_choice={"type": "any"}, model="claude-fable-5-1"), FORCED),
    (
        hello(tool_choice={"type": "auto"}),
        "tool_choice: tool_choice may only be specified while providing tools",
    ),
    (
        hello(tools=[WEATHER], tool_choice={"type": "tool", "name": "time"}),
        "tool_choice: Tool 'time' not found in provided tools",
    ),
    (hello(tools=[WEATHER, WEATHER]), "tools: Tool names must be unique."),
    (hello(speed="fast", model="claude-opus-5-5"), None),
    (hello(speed="fast"), "speed: 'fast' is not supported for this model."),
    (hello(speed="standard"), None),
    (hello(inference_geo="us"), None),
    (hello(inference_geo="eu"), "inference_geo: Input should be 'global' or 'us'"),
    (
        hello(inference_geo="us", model="claude-haiku-4-5"),
        "inference_geo: This model does not support the inference_geo parameter.",
    ),
]


@pytest.mark.parametrize(("body", "message"), SHAPES)
def test_a_wrong_shape_is_a_400_that_names_the_place(body: object, message: str) -> None:
    """A missing, extra or wrongly typed field is told by its path."""
    assert verdict(body) == (400, message)


@pytest.mark.parametrize(("body", "message"), CONVERSATIONS)
def test_messages_that_do_not_fit_together_are_a_400(body: Body, message: str) -> None:
    """Roles, empty content and misplaced blocks are refused in the API's words."""
    assert verdict(body) == (400, message)


@pytest.mark.parametrize("body", PASSING)
def test_unusual_conversations_that_are_in_order_pass(body: Body) -> None:
    """A paused turn sent back, an empty beginning of an answer, directives: all are taken."""
    assert verdict(body) is None


@pytest.mark.parametrize(("messages", "message"), TOOLS)
def test_calls_and_results_must_pair(messages: list[Body], message: str | None) -> None:
    """Each tool call is answered once, at the start of the next user turn."""
    body = hello(messages=messages, model="claude-haiku-4-5", tools=[WEATHER])
    assert verdict(body) == (None if message is None else (400, message))


@pytest.mark.parametrize(("body", "message"), BREAKPOINTS)
def test_breakpoints_are_counted_and_ordered(body: Body, message: str | None) -> None:
    """Four breakpoints at most, the automatic one among them, longer lifetimes first."""
    assert verdict(body) == (None if message is None else (400, message))


@pytest.mark.parametrize(("name", "thinking", "effort", "message"), THINKING)
def test_thinking_and_effort_follow_the_model(
    name: str, thinking: Body, effort: str | None, message: str | None
) -> None:
    """Each model takes its own types of thinking and levels of effort."""
    settings = {"effort": effort} if effort else None
    body = hello(model=name, max_tokens=3000, thinking=thinking, output_config=settings)
    assert verdict(body) == (None if message is None else (400, message))


@pytest.mark.parametrize(("body", "message"), ASKED)
def test_a_model_refuses_what_it_does_not_have(body: Body, message: str | None) -> None:
    """Length, forced tools, speed and place of inference depend on the model."""
    assert verdict(body) == (None if message is None else (400, message))


def test_a_rich_request_passes() -> None:
    """A request that uses nearly everything at once is in order."""
    assert verdict(RICH) is None


def test_every_model_of_the_catalogue_has_rules() -> None:
    """The table of rules and the catalogue list the same models."""
    assert all(model_rules(row).thinking for row in models())


@pytest.mark.parametrize("name", ["claude-sonet-4-5", "claude-3-opus-20240229"])
def test_an_unknown_and_a_retired_model_are_a_404(name: str) -> None:
    """A model that is not served is not found, whatever the reason."""
    assert verdict(hello(model=name)) == (404, f"model: {name}")


def test_a_model_is_served_until_its_last_day() -> None:
    """A deprecated model answers until the day of its retirement."""
    body = hello(model="claude-sonnet-4-5-20250929")
    assert verdict(body, today=date(2026, 11, 29)) is None
    assert verdict(body, today=date(2026, 11, 30)) == (404, "model: claude-sonnet-4-5-20250929")


def test_fast_mode_of_an_older_model_ends_on_its_day() -> None:
    """Opus 4.8 loses fast mode on 30 November 2026."""
    body = hello(model="claude-opus-4-8", speed="fast")
    assert verdict(body, today=date(2026, 11, 29)) is None
    assert verdict(body, today=date(2026, 11, 30)) is not None


def test_sampling_is_gone_from_the_new_version_and_from_newer_models() -> None:
    """The version refuses the fields, a newer model on the old version only other values."""
    older = hello(model="claude-opus-4-6", temperature=0.2, top_k=5)
    assert verdict(older) == (400, "temperature: Extra inputs are not permitted")
    assert verdict(older, version=OLD) is None
    assert verdict(hello(temperature=1.0), version=OLD) is None
    refused = (400, "`temperature` is deprecated for this model.")
    assert verdict(hello(temperature=0.2), version=OLD) == refused
    boolean = (400, "temperature: Input should be a valid number")
    assert verdict(hello(temperature=True), version=OLD) == boolean
    thinking = hello(model="claude-haiku-4-5", max_tokens=3000, thinking=BUDGET, temperature=0.2)
    only_one = (400, "`temperature` may only be set to 1 when thinking is enabled.")
    assert verdict(thinking, version=OLD) == only_one


def test_documents_and_citations_are_confined_by_the_new_version() -> None:
    """An assistant's document and a user's citations pass on the old version alone."""
    source = {"type": "text", "media_type": "text/plain", "data": "x"}
    document = hello(
        messages=[user("a"), assistant([{"type": "document", "source": source}]), user("b")]
    )
    cited = hello(messages=[user([said(citations=[{"type": "char_location"}])])])
    at = "messages.1.content.0: `document` blocks cannot be in `assistant` messages"
    assert verdict(document) == (400, at)
    extra = "messages.0.content.0.text.citations: Extra inputs are not permitted"
    assert verdict(cited) == (400, extra)
    assert verdict(document, version=OLD) is None
    assert verdict(cited, version=OLD) is None


def test_a_prompt_longer_than_the_window_is_refused_but_not_its_room_for_output() -> None:
    """Input alone must fit; input and `max_tokens` together need not."""
    words = hello(model="claude-haiku-4-5", max_tokens=64_000)
    assert verdict(words, prompt_tokens=200_000) is None
    long = (400, "prompt is too long: 200001 tokens > 200000 maximum")
    assert verdict(words, prompt_tokens=200_001) == long
    assert verdict({**words, "messages": [user("x" * 680_400)]}) is not None


def test_counting_needs_no_max_tokens_and_refuses_no_length() -> None:
    """Token counting measures what a message could not send."""
    counted = hello(max_tokens=None, messages=[user("x" * 3_000_000)])
    assert verdict(counted, counting=True) is None
    assert verdict(hello(), counting=True) == (400, "max_tokens: Extra inputs are not permitted")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stream": False}, None),
        ({"stream": True}, "stream: Streaming is not supported in a batch"),
        ({"speed": "standard"}, "speed: Extra inputs are not permitted"),
        ({"thread": {"type": "new"}}, "thread: Extra inputs are not permitted"),
        (
            {"context_management": {"edits": []}},
            "context_management: what a batch makes of it is not established, and not simulated",
        ),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
    ],
)
def test_a_batch_row_may_not_ask_for_everything(changes: Body, message: str | None) -> None:
    """Streaming, speed and an answer of no length are for single requests."""
    expected = None if message is None else (400, message)
    assert verdict(hello(**changes), batch=True) == expected


def test_batches_may_answer_at_greater_length_with_the_beta() -> None:
    """The beta header lifts `max_tokens` in a batch, and nowhere else."""
    body = hello(max_tokens=300_000)
    assert verdict(body, batch=True, betas=[LONG_OUTPUT]) is None
    assert verdict(body, batch=True) is not None
    assert verdict(body, betas=[LONG_OUTPUT]) is not None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"requests": [{"custom_id": "a", "params": {}}]}, None),
        (
            {"requests": []},
            "requests: List should have at least 1 item after validation, not 0",
        ),
        ({}, "requests: Field required"),
        ({"requests": [{"custom_id": "a"}]}, "requests.0.params: Field required"),
        (
            {"requests": [{"custom_id": "a b", "params": {}}]},
            "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
        ),
        (
            {"requests": [{"custom_id": "a" * 65, "params": {}}]},
            "requests.0.custom_id: String should have at most 64 characters",
        ),
        (
            {"requests": [{"custom_id": "a", "params": {}}] * 2},
            "requests.1.custom_id: 'a' is already used by requests.0; custom_id must be unique "
            "within a batch",
        ),
        (
            {"requests": [{"custom_id": "a", "params": {}}] * 100_001},
            "requests: List should have at most 100000 items after validation, not 100001",
        ),
    ],
)
def test_a_batch_is_judged_by_its_list_alone(body: Body, message: str | None) -> None:
    """Ids are judged at creation, the rows' own requests later."""
    assert batch_complaint(body) == (
        None if message is None else ApiError(400, "invalid_request_error", message)
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
ways = st.fixed_dictionaries(
    {"version": st.sampled_from([OLD, NEW]), "counting": st.booleans(), "batch": st.booleans()}
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the path of every value inside a value."""
    members = value.items() if isinstance(value, dict) else enumerate(value)
    for name, member in members:
        yield (*path, name)
        if isinstance(member, dict | list):
            yield from places(member, (*path, name))


@given(json_values, ways)
def test_whatever_json_holds_is_judged(body: Any, how: Body) -> None:
    """Any JSON value gets a verdict; none raises."""
    found = complaint(body, today=TODAY, **how)
    assert found is not None
    assert (found.status, found.type) == (400, "invalid_request_error")
    assert batch_complaint(body) is not None


@given(st.sampled_from(list(places(RICH))), json_values | st.just("gone"), ways)
def test_a_request_with_anything_anywhere_is_judged(
    place: tuple[Any, ...], value: Any, how: Body
) -> None:
    """A good request with any one value replaced or taken away gets a verdict; none raises."""
    body = copy.deepcopy(RICH)
    inner = body
    for name in place[:-1]:
        inner = inner[name]
    if value == "gone":
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    found = complaint(body, today=TODAY, **how)
    assert found is None or found.status in (400, 404)
    assert batch_complaint({"requests": [{"custom_id": "a", "params": value}]}) is None or (
        not isinstance(value, dict)
    )


@given(st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=5), st.data())
def test_a_conversation_with_tools_passes_until_one_result_is_lost(
    calls: list[list[int]], data: st.DataObject
) -> None:
    """Whatever the number of calls in each turn, all answered passes and one lost does not."""
    messages = [user("Go on.")]
    for turn, numbers in enumerate(calls):
        ids = [f"toolu_{turn}_{place}_{number}" for place, number in enumerate(numbers)]
        messages.append(assistant([said(), *({**CALL, "id": name} for name in ids)]))
        messages.append(user([*({**RESULT, "tool_use_id": name} for name in ids), said()]))
    body = hello(messages=messages, tools=[WEATHER])
    assert verdict(body) is None
    results = [
        (place, block)
        for place, message in enumerate(messages)
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    if results:
        place, block = data.draw(st.sampled_from(results))
        messages[place]["content"].remove(block)
        found = verdict(body)
        assert found is not None
        assert block["tool_use_id"] in found[1]


def test_json_nested_beyond_reason_is_refused() -> None:
    """A schema a hundred thousand levels deep gets a 400."""
    schema: Body = {}
    for _ in range(100_000):
        schema = {"a": schema}
    tool = {**WEATHER, "input_schema": {"type": "object", "properties": schema}}
    assert verdict(hello(tools=[tool])) == (400, "The request body is nested too deeply")


KINDS = ("/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches")
ALL_SERVED = date(2025, 12, 31)
"""A day on which no model of the catalogue is retired: the recordings are judged as of then."""
NOT_THE_SAME = {
    "ruby_llm--error_400_prompt_too_long.yml": "its long prompt was replaced by a placeholder",
    "openllmetry--cache_stream_write_then_read.yaml": "its model left before the catalogue began",
    "openllmetry--cache_write_then_read.yaml": "its model left before the catalogue began",
    "openllmetry--tools_stream.yaml": "its model left before the catalogue began",
}


def recorded() -> list[tuple[str, Exchange]]:
    """Give every recorded request of a judged kind that was judged: 200, 400 or 404."""
    return [
        (path.name, exchange)
        for path in sorted(RECORDINGS.glob("*.y*ml")) + sorted(RECORDINGS.glob("*.json"))
        for exchange in exchanges(read_yaml(path.read_text(encoding="utf-8"))) or []
        if exchange is not None
        and exchange.method == "POST"
        and exchange.path in KINDS
        and exchange.status in (200, 400, 404)
    ]


def judged(exchange: Exchange) -> ApiError | None:
    """Judge a recorded request; all were made with the older API version."""
    how: Body = {"version": OLD, "today": ALL_SERVED}
    if exchange.path == KINDS[2]:
        rows: Any = exchange.request["requests"]
        found = [complaint(row["params"], batch=True, **how) for row in rows]
        return batch_complaint(exchange.request) or next(filter(None, found), None)
    return complaint(exchange.request, counting=exchange.path == KINDS[1], **how)


@pytest.mark.skipif(not RECORDINGS.is_dir(), reason="../shared/recordings is not here")
def test_recorded_requests_get_the_status_they_got() -> None:
    """The real API's verdict on every recorded request is ours too, save a few with reasons."""
    differing = set()
    judged_ones = recorded()
    assert len(judged_ones) > 100
    for name, exchange in judged_ones:
        found = judged(exchange)
        status = 200 if found is None else found.status
        said_in = str(exchange.body)
        if status != exchange.status or (
            found is not None and not (found.type in said_in and found.message in said_in)
        ):
            differing.add(name)
    assert differing == set(NOT_THE_SAME)

"""Token estimates: each kind of content, two generations, and what the simulator counts."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given, settings

from labkit.context.estimates import (
    PAGE_TOKENS,
    TOOL_PROMPT,
    blocks_of,
    estimate_fixed,
    estimate_message,
    estimate_request,
    exact_tokens,
    generation_of,
)
from labkit.sim.tokens import count_prompt
from tests.context.conversations import Talk, talks
from tests.scenes import Scene

TOOL = {"name": "look_up", "description": "Looks it up.", "input_schema": {"type": "object"}}
FRAME = 3


def tokens(content: Any, generation: Any = "new") -> int:
    """Estimate a message of the user's, without its frame."""
    return estimate_message({"role": "user", "content": content}, generation) - FRAME


def document(**source: Any) -> list[Any]:
    """Return the content of a message with a document."""
    return [{"type": "document", "source": source}]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-opus-5-5", "new"),
        ("claude-haiku-4-5", "old"),
        ("claude-mythos-preview", "new"),
        ("a model of tomorrow", "new"),
        (None, "new"),
    ],
)
def test_every_model_has_a_generation(name: str | None, expected: str) -> None:
    """One that is not known counts like the newest, which is more."""
    assert generation_of(name) == expected


def test_text_is_counted_by_the_rule_of_its_generation() -> None:
    """2.5 characters a token now, 3.4 before."""
    assert tokens("x" * 340) == 136
    assert tokens("x" * 340, "old") == 100
    assert tokens([{"type": "text", "text": "x" * 340}]) == 136
    assert tokens("") == 0


def test_other_scripts_take_more_tokens_a_character() -> None:
    """Their bytes count."""
    assert tokens("a" * 50) < tokens("ä" * 50) < tokens("雨" * 50)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "thinking", "thinking": "x" * 250, "signature": "s" * 999},
        {"type": "thinking", "thinking": "", "signature": "s" * 250},
        {"type": "redacted_thinking", "data": "d" * 250},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x" * 250},
        {"type": "tool_result", "content": [{"type": "text", "text": "x" * 250}]},
        {"type": "document", "source": {"type": "text", "data": "x" * 250}},
        {"type": "document", "source": {"type": "content", "content": "x" * 250}},
    ],
    ids=lambda block: "-".join(block),
)
def test_every_kind_of_text_counts(block: dict[str, Any]) -> None:
    """Thinking that was left out counts by its sealed copy."""
    assert tokens([block]) == 100


def test_a_call_counts_with_its_name_and_input() -> None:
    """As does a server tool's; an unknown block counts by its JSON."""
    call = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"what": "x" * 100}}
    assert 40 < tokens([call]) < 60
    assert tokens([{**call, "type": "server_tool_use"}]) == tokens([call])
    assert 40 < tokens([{"type": "of_tomorrow", "secret": "x" * 100}]) < 60


def test_documents_count_by_their_pages() -> None:
    """One where it cannot be looked into."""
    pages = base64.b64encode(b"%PDF-1.7\n" + b"<< /Type /Page /Parent 1 0 R >>\n" * 4).decode()
    assert tokens(document(type="base64", data=pages)) == 4 * PAGE_TOKENS
    for source in ({"type": "url", "url": "x"}, {"type": "base64", "data": "ä"}, {}):
        assert tokens(document(**source)) == PAGE_TOKENS
    assert tokens([{"type": "document"}]) == PAGE_TOKENS


def test_tools_and_system_prompt_count_once() -> None:
    """With the hidden prompt about tools; a breakpoint changes nothing."""
    plain = {"system": "x" * 250, "tools": [TOOL]}
    marked = {
        "system": [{"type": "text", "text": "x" * 250, "cache_control": {"type": "ephemeral"}}],
        "tools": [{**TOOL, "cache_control": {"type": "ephemeral"}}],
    }
    assert estimate_fixed(plain, "new") == estimate_fixed(marked, "new")
    assert estimate_fixed(plain, "new") > TOOL_PROMPT + 100
    assert estimate_fixed({"system": "x" * 250}, "new") == 100
    assert estimate_fixed({}, "new") == 0


def test_blocks_of_the_sdk_count_as_well() -> None:
    """A reply's content may go back into the history as it is."""
    reply = (
        Scene()
        .client()
        .messages.create(
            model="claude-haiku-5-5", max_tokens=50, messages=[{"role": "user", "content": "Why?"}]
        )
    )
    (block,) = blocks_of(reply.content)
    assert tokens(reply.content) == tokens([dict(block)]) > 0


@settings(max_examples=200)
@given(talks())
def test_an_estimate_is_never_below_what_the_simulator_counts(talk: Talk) -> None:
    """Tools, thinking, images and all: a budget that holds by estimate holds there."""
    body = talk.request(len(talk.messages))
    assert estimate_request(body) >= count_prompt(body)


def test_the_endpoint_is_the_exact_alternative() -> None:
    """Fields it does not take are left out."""
    body = {
        "model": "claude-haiku-5-5",
        "max_tokens": 9,
        "stop_sequences": ["x"],
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Why do queues grow?"}],
    }
    assert exact_tokens(Scene().client(), body) == count_prompt(body)

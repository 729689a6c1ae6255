"""LangChain's `trim_messages` on the same random conversations: how many come out invalid."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    trim_messages,
)
from langchain_core.messages.utils import count_tokens_approximately

from labkit.context import TokenBudget, Window, estimate_request
from labkit.errors import ContextLimit
from tests.context.conversations import Talk, judged, talk

CONVERSATIONS = 600
SHARE = 0.5
"""Of its tokens is what each conversation is trimmed to."""


def to_langchain(body: dict[str, Any]) -> list[BaseMessage]:
    """Spell a request as LangChain does: the system prompt first, each tool result by itself."""
    found: list[BaseMessage] = []
    if "system" in body:
        found.append(SystemMessage(content=body["system"]))
    for message in body["messages"]:
        content, role = message["content"], message["role"]
        blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
        others = [block for block in blocks if block["type"] != "tool_result"]
        if role == "assistant":
            calls = [
                {"id": block["id"], "name": block["name"], "args": block["input"]}
                for block in blocks
                if block["type"] == "tool_use"
            ]
            found.append(AIMessage(content=content, tool_calls=calls))
            continue
        for block in blocks:
            if block["type"] == "tool_result":
                said = block["content"]
                found.append(ToolMessage(content=said, tool_call_id=block["tool_use_id"]))
        if others:
            kind = HumanMessage if role == "user" else SystemMessage
            found.append(kind(content=others))
    return found


def from_langchain(body: dict[str, Any], kept: list[BaseMessage]) -> dict[str, Any]:
    """Spell the messages as the API does; a system message in front is the system prompt."""
    messages: list[Any] = []
    for place, message in enumerate(kept):
        if isinstance(message, ToolMessage):
            result = {"tool_use_id": message.tool_call_id, "content": message.content}
            messages.append({"role": "user", "content": [{"type": "tool_result", **result}]})
        elif not (isinstance(message, SystemMessage) and place == 0):
            roles = {"human": "user", "ai": "assistant", "system": "system"}
            messages.append({"role": roles[message.type], "content": message.content})
    return {**body, "messages": messages}


def conversations() -> list[Talk]:
    """Return conversations with tools, of eight exchanges each."""
    written = (talk(seed, 8) for seed in range(CONVERSATIONS * 2))
    return [each for each in written if each.tools][:CONVERSATIONS]


def last_request(each: Talk) -> dict[str, Any]:
    """Return the last request of a conversation, without directives LangChain cannot spell."""
    body = each.request(each.asked[-1])
    body.pop("cache_control", None)
    messages = [m for m in body["messages"] if m["content"] != []]
    return {**body, "messages": messages}


def trimmed_by_langchain(body: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """Trim with the defaults but for `settings`."""
    spelled = to_langchain(body)
    most = int(count_tokens_approximately(spelled) * SHARE)
    kept = trim_messages(spelled, max_tokens=most, token_counter="approximate", **settings)  # noqa: S106
    return from_langchain(body, kept)


@pytest.fixture(scope="module")
def requests() -> list[dict[str, Any]]:
    """The last requests of them all, valid as they are, also by way of LangChain."""
    found = [last_request(each) for each in conversations()]
    return [body for body in found if not judged(from_langchain(body, to_langchain(body)))]


def test_most_of_what_langchain_trims_by_default_is_refused(
    requests: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Resilience.md 1.8 found 78 %; the settings its documentation advises leave few."""
    assert len(requests) > CONVERSATIONS / 2
    shares = {}
    for name, settings in {
        "defaults": {},
        "as advised": {"start_on": "human", "include_system": True},
    }.items():
        refused = sum(bool(judged(trimmed_by_langchain(body, **settings))) for body in requests)
        shares[name] = refused / len(requests)
    with capsys.disabled():
        told = ", ".join(f"{share:.0%} with {name}" for name, share in shares.items())
        print(f"\ntrim_messages on {len(requests)} conversations: invalid are {told}")
    assert shares["defaults"] > 0.5
    assert shares["as advised"] < shares["defaults"] / 2


def test_none_of_what_labkit_trims_is_refused(requests: list[dict[str, Any]]) -> None:
    """The same conversations to the same share of their tokens, unless that cannot be done."""
    refused, impossible = 0, 0
    for body in requests:
        budget = int(estimate_request(body) * SHARE)
        try:
            sent = Window(TokenBudget(budget)).fit(body)
        except ContextLimit:
            impossible += 1
            continue
        refused += bool(judged(sent.body))
        assert sent.tokens <= budget
    assert refused == 0
    assert impossible < len(requests) / 5

"""Whatever JSON stands in the fields that manage a context, the simulated API answers."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.sim.core import SimulatedApi

BETAS = (
    *("context-management-2025-06-27", "compact-2026-01-12"),
    *("compact-2026-09-04", "message-threads-2026-08-12"),
)
LEAVES = st.none() | st.booleans() | st.integers(-2, 10**6) | st.text(max_size=4)
ANYTHING = st.recursive(
    LEAVES | st.sampled_from(["tool_uses", "input_tokens", "all", "summarize", "create"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "value", "edits", "keep"]), inner, max_size=3)
    ),
    max_leaves=6,
)
AMOUNT = st.fixed_dictionaries(
    {"type": st.sampled_from(["input_tokens", "tool_uses"]), "value": st.integers(0, 60_000)}
)
EDIT = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            ["clear_tool_uses_20250919", "clear_thinking_20251015", "compact_20260112"]
        )
    },
    optional={
        "trigger": AMOUNT | ANYTHING,
        "keep": AMOUNT | ANYTHING,
        "clear_at_least": AMOUNT | ANYTHING,
        "exclude_tools": ANYTHING,
        "clear_tool_inputs": ANYTHING,
        "pause_after_compaction": st.booleans(),
    },
)
BLOCK = st.sampled_from(
    [
        {"type": "text", "text": "Hi"},
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "wet"},
        {"type": "compaction", "content": None},
        {"type": "compaction", "content": "They spoke."},
        {"type": "compaction", "content": "They spoke.", "signature": "simulated-1"},
        {"type": "compaction", "content": 7, "signature": []},
        {"type": "compaction"},
    ]
)
CONTENT = st.just("Hi") | st.lists(BLOCK | ANYTHING, max_size=3) | ANYTHING
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": CONTENT}
)
MESSAGES = st.lists(MESSAGE | ANYTHING, max_size=4) | ANYTHING
THREAD = st.sampled_from(
    [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_sim"}]
)
FIELDS = st.fixed_dictionaries(
    {"messages": st.just([{"role": "user", "content": "Hi"}]) | MESSAGES},
    optional={
        "context_management": st.fixed_dictionaries({"edits": st.lists(EDIT, max_size=2)})
        | ANYTHING,
        "compaction": st.just({"type": "summarize"}) | ANYTHING,
        "thread": THREAD | ANYTHING,
        "stream": st.booleans(),
    },
)


@given(
    fields=FIELDS,
    betas=st.sets(st.sampled_from(BETAS)) | st.just(set(BETAS)),
    path=st.sampled_from(["/v1/messages", "/v1/messages/count_tokens"]),
)
@settings(max_examples=200, deadline=None)
def test_any_context_management_gets_an_answer_or_a_sentence(
    fields: dict[str, Any], betas: set[str], path: str
) -> None:
    """A message, or an error of the API's own shape; nothing raises."""
    body = {"model": "claude-opus-4-6", **fields}
    if path == "/v1/messages":
        body["max_tokens"] = 50
    headers = {
        "x-api-key": "key",
        "anthropic-version": "2026-10-21",
        "anthropic-beta": ",".join(sorted(betas)),
    }
    reply = SimulatedApi().reply("POST", path, headers, json.dumps(body).encode(), 0.0)
    assert reply.status in (200, 400, 404)
    if reply.status != 200:
        assert json.loads(reply.body)["error"]["message"]

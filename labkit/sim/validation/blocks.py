"""The content blocks a message may hold, as one table: what each kind needs and may have.

Kinds are those of anthropic 2.12.0 (types/content_block_param.py, and the beta ones, whose
headers are not asked for).  Members not named here pass: the real API adds some every month.
"""

from __future__ import annotations

from collections.abc import Mapping

from labkit.sim.validation.schema import (
    Check,
    anything,
    array,
    boolean,
    choice,
    mapping,
    nullable,
    string,
    string_or,
    tagged,
)

__all__ = ["CACHE_CONTROL", "CONTENT", "SERVER_RESULTS", "SYSTEM"]

CACHE_CONTROL: Check = nullable(
    mapping({"type": choice("ephemeral")}, {"ttl": choice("5m", "1h")}, extra=False)
)
CACHED = {"cache_control": CACHE_CONTROL}
TOOL_ID = string(pattern="[a-zA-Z0-9_-]+")
SOURCES = ("base64", "url", "file", "text", "content")
SOURCE = mapping({"type": choice(*SOURCES)}, extra=True)
OBJECT = mapping({}, extra=True)


def _block(
    required: Mapping[str, Check],
    optional: Mapping[str, Check] | None = None,
    *,
    cached: bool = True,
) -> Check:
    return mapping(required, {**(CACHED if cached else {}), **(optional or {})}, extra=True)


TEXT = _block({"text": string()}, {"citations": nullable(array(OBJECT))})
IMAGE = _block({"source": SOURCE})
DOCUMENT = _block({"source": SOURCE})
SEARCH_RESULT = _block(
    {"source": string(), "title": string(), "content": array(tagged({"text": TEXT}), least=1)}
)

SERVER_RESULTS = (
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "advisor_tool_result",
    "mcp_tool_result",
)
"""What the server's own tools answered; it stands in the assistant's message."""

INSIDE_RESULT = {
    "text": TEXT,
    "image": IMAGE,
    "document": DOCUMENT,
    "search_result": SEARCH_RESULT,
    "tool_reference": _block({"tool_name": string()}),
    "browser_state": _block({}),
}
RESULT = {
    "content": nullable(string_or(array(tagged(INSIDE_RESULT)))),
    "is_error": nullable(boolean),
}
CALL = _block({"id": TOOL_ID, "name": string(least=1), "input": OBJECT})
BLOCKS: Mapping[str, Check] = {
    "text": TEXT,
    "image": IMAGE,
    "document": DOCUMENT,
    "search_result": SEARCH_RESULT,
    "thinking": _block({"thinking": string(), "signature": string()}, cached=False),
    "redacted_thinking": _block({"data": string()}, cached=False),
    "tool_use": CALL,
    "tool_result": _block({"tool_use_id": TOOL_ID}, RESULT),
    "server_tool_use": CALL,
    "mcp_tool_use": CALL,
    **{kind: _block({"tool_use_id": TOOL_ID, "content": anything}) for kind in SERVER_RESULTS},
    "container_upload": _block({"file_id": string()}),
    "compaction": _block({"content": anything}),
    "mcp_tool_listing": _block({}),
    "tool_addition": _block({}),
    "tool_removal": _block({}),
}

CONTENT: Check = string_or(array(tagged(BLOCKS)))
"""The content of a message."""
SYSTEM: Check = string_or(array(tagged({"text": TEXT})))
"""The top-level system prompt."""

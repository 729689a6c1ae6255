"""The fields of a Messages, token counting and batch request, as tables.

Names and types are those of anthropic 2.12.0 (types/message_create_params.py and its beta
twin); what is not named is refused, as the real API does.  Beta headers are asked for only
where the server manages a context: `labkit.sim.validation.hosted`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from labkit.sim.validation.blocks import CACHE_CONTROL, CONTENT, SYSTEM
from labkit.sim.validation.schema import (
    Check,
    anything,
    array,
    boolean,
    choice,
    integer,
    mapping,
    nullable,
    number,
    string,
    string_or,
    tagged,
)
from labkit.sim.validation.tools import TOOL_CHOICE, TOOLS

__all__ = ["SAMPLING", "request_check"]

MOST_MESSAGES = 100_000
EFFORTS = ("low", "medium", "high", "xhigh", "max")
OBJECT = mapping({}, extra=True)


ROLE: dict[str, Check] = {"role": choice("user", "assistant", "system"), "content": CONTENT}
TURN, SYSTEM_TURN = mapping(ROLE, extra=False), mapping(ROLE, extra=True)


def _message(value: object, path: str) -> Iterator[str]:
    """Judge one message; a system one may carry directives besides its content."""
    is_system = isinstance(value, dict) and value.get("role") == "system"
    return (SYSTEM_TURN if is_system else TURN)(value, path)


LISTED = array(_message, most=MOST_MESSAGES)


def _messages(value: object, path: str) -> Iterator[str]:
    if value == []:
        yield f"{path}: at least one message is required"
    yield from LISTED(value, path)


def _thinking(value: object, path: str) -> Iterator[str]:
    """Judge `thinking`; how replayed blocks are bound may be set without choosing a type."""
    bound = isinstance(value, dict) and "type" not in value and "block_binding" in value
    return (OBJECT if bound else THINKING)(value, path)


DISPLAY = {"display": nullable(choice("summarized", "omitted", "updates"))}
THINKING = tagged(
    {
        "enabled": mapping({"budget_tokens": integer(least=1024)}, DISPLAY, extra=True),
        "adaptive": mapping({}, DISPLAY, extra=True),
        "disabled": OBJECT,
        "between_tools": OBJECT,
    }
)
FORMAT = mapping({"type": choice("json_schema"), "schema": OBJECT}, extra=True)
OUTPUT = {"effort": nullable(choice(*EFFORTS)), "format": nullable(FORMAT), "task_budget": OBJECT}

SAMPLING: dict[str, Check] = {
    "temperature": nullable(number(least=0, most=1)),
    "top_p": nullable(number(least=0, most=1)),
    "top_k": nullable(integer(least=0)),
}
"""Fields that API version 2026-10-21 no longer has (claude-api.md, ten things, 3)."""

ALWAYS: dict[str, Check] = {"model": string(least=1), "messages": _messages}
COUNTED: dict[str, Check] = {
    "cache_control": CACHE_CONTROL,
    "output_config": mapping({}, OUTPUT, extra=False),
    "output_format": nullable(FORMAT),
    "speed": nullable(choice("standard", "fast")),
    "system": SYSTEM,
    "thinking": _thinking,
    "tool_choice": TOOL_CHOICE,
    "tools": TOOLS,
    "user_profile_id": nullable(string()),
    "billing_policy": anything,
    "compaction": anything,
    "context_management": anything,
    "mcp_servers": anything,
}
"""What token counting takes besides; the last four are beta."""
ANSWERED: dict[str, Check] = {
    "container": nullable(string_or(OBJECT)),
    "diagnostics": nullable(mapping({}, {"previous_message_id": nullable(string())}, extra=True)),
    "fallback_credit_token": anything,
    "fallbacks": anything,
    "inference_geo": nullable(string()),
    "metadata": nullable(mapping({}, {"user_id": nullable(string(most=256))}, extra=False)),
    "service_tier": choice("auto", "standard_only"),
    "stop_sequences": array(string()),
    "stream": boolean,
    "thread": anything,
}
"""What only a request that is answered takes."""


@cache
def request_check(*, counting: bool, sampling: bool) -> Check:
    """Return the check of a whole body, for token counting or an answer, with `SAMPLING` or not."""
    if counting:
        return mapping(ALWAYS, COUNTED, extra=False)
    required = {"model": ALWAYS["model"], "max_tokens": integer(least=0), **ALWAYS}
    optional = {**COUNTED, **ANSWERED, **(SAMPLING if sampling else {})}
    return mapping(required, optional, extra=False)

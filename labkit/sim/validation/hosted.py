"""The fields that ask the server to manage a context: their shapes and beta headers, as tables.

Names, defaults and headers are those of claude-api.md 8 and of anthropic 2.12.0 (types/beta).
Without its beta a field is unknown.  What neither establishes is refused with a sentence that
says so, and never guessed: which thinking a `clear_thinking_20251015` keeps by default.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from labkit.sim.validation.schema import (
    Check,
    array,
    boolean,
    choice,
    integer,
    mapping,
    nullable,
    string,
    string_or,
    tagged,
)

__all__ = ["CLEAR_THINKING", "CLEAR_TOOLS", "COMPACT", "EDITING", "hosted_problems"]

CLEAR_TOOLS = "clear_tool_uses_20250919"
CLEAR_THINKING = "clear_thinking_20251015"
COMPACT = "compact_20260112"
EDITING, COMPACTING = "context-management-2025-06-27", "compact-2026-01-12"
BETAS = {CLEAR_TOOLS: EDITING, CLEAR_THINKING: EDITING, COMPACT: COMPACTING}
ON_DEMAND, THREADS = "compact-2026-09-04", "message-threads-2026-08-12"
LEAST_TRIGGER = 50_000
"""Input tokens below which no compaction may be triggered."""


def _amount(least: int) -> Check:
    return mapping({"type": choice("input_tokens"), "value": integer(least=least)}, extra=False)


USES = mapping({"type": choice("tool_uses"), "value": integer(least=0)}, extra=False)
TURNS = mapping({"type": choice("thinking_turns"), "value": integer(least=1)}, extra=False)
TYPE: dict[str, Check] = {"type": string()}
EDIT = tagged(
    {
        CLEAR_TOOLS: mapping(
            TYPE,
            {
                "trigger": tagged({"input_tokens": _amount(1), "tool_uses": USES}),
                "keep": USES,
                "clear_at_least": nullable(_amount(1)),
                "exclude_tools": nullable(array(string())),
                "clear_tool_inputs": lambda value, path: iter(
                    () if value is None or isinstance(value, bool) else array(string())(value, path)
                ),
            },
            extra=False,
        ),
        CLEAR_THINKING: mapping(
            TYPE,
            {
                "keep": string_or(
                    tagged({"thinking_turns": TURNS, "all": mapping(TYPE, extra=False)})
                )
            },
            extra=False,
        ),
        COMPACT: mapping(
            TYPE,
            {
                "trigger": nullable(_amount(LEAST_TRIGGER)),
                "pause_after_compaction": boolean,
                "instructions": nullable(string()),
            },
            extra=False,
        ),
    }
)
MANAGEMENT = mapping({}, {"edits": array(EDIT)}, extra=False)
SUMMARIZE = mapping(
    {"type": choice("summarize")}, {"instructions": nullable(string())}, extra=False
)
THREAD = tagged(
    {
        "create": mapping(TYPE, extra=False),
        "continue": mapping({**TYPE, "previous_message_id": string(least=1)}, extra=False),
    }
)


def hosted_problems(body: Mapping[str, Any], betas: Collection[str]) -> Iterator[str]:
    """Find what is wrong with the fields that manage a context."""
    for name, check, beta in (
        ("compaction", SUMMARIZE, ON_DEMAND),
        ("thread", THREAD, THREADS),
    ):
        if body.get(name) is not None:
            if beta not in betas:
                yield f"{name}: Extra inputs are not permitted"
            yield from check(body[name], name)
    managed = body.get("context_management")
    if managed is None:
        return
    if betas and not set(betas).isdisjoint(BETAS.values()):
        yield from MANAGEMENT(managed, "context_management")
        yield from _edits(managed.get("edits", []), betas)
    else:
        yield "context_management: Extra inputs are not permitted"
    if body.get("compaction") is not None:
        yield "compaction: cannot be combined with context_management"


def _edits(edits: list[dict[str, Any]], betas: Collection[str]) -> Iterator[str]:
    kinds = [edit["type"] for edit in edits]
    for place, edit in enumerate(edits):
        at, kind = f"context_management.edits.{place}", edit["type"]
        if BETAS[kind] not in betas:
            yield f"{at}: `{kind}` requires the beta {BETAS[kind]}"
        if kind in kinds[:place]:
            yield f"{at}: `{kind}` may be given once"
        if kind == CLEAR_THINKING and place:
            yield f"{at}: `{kind}` must be the first edit"
        if kind == CLEAR_THINKING and edit.get("keep") is None:
            yield f"{at}.keep: the simulator knows no default, as none is established"
        if isinstance(edit.get("keep"), str) and edit["keep"] != "all":
            yield f"{at}.keep: Input should be 'all'"

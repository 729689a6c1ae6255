"""The Models API: the catalogue as the API lists it on a given day.

Shape and rules of claude-api.md 1.6.  What is not known is null, so `deprecated_at` always is;
but for the day of release, where the API's own habit is an epoch value.  That day is the
catalogue's, else the one in a recorded list, else a year before the day until which the model
is promised: that is its release for every model of which both are known.
Which capabilities a model has beyond thinking and effort is assumed by its generation: images,
documents, batches and server tools from Claude 4 on, structured outputs and programmatic
tool calling from 4.5 on, compaction from 4.6 on.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from labkit.catalog import Model, model, models
from labkit.errors import UnknownModel
from labkit.sim.model_rules import ModelRules, model_rules, snapshot
from labkit.sim.pages import Query, page
from labkit.sim.problem import ApiError, invalid, not_found

__all__ = ["describe_model", "list_models", "retrieve_model"]

STAGES = ("active", "deprecated", "retired")
USUAL_STAGES = ("active", "deprecated")
EFFORTS = ("low", "medium", "high", "xhigh", "max")
THINKING = ("adaptive", "enabled", "disabled", "between_tools")
UNKNOWN_DAY = date(1970, 1, 1)
RECORDED = {
    "claude-opus-4-1": date(2025, 8, 5),
    "claude-opus-4-0": date(2025, 5, 22),
    "claude-sonnet-4-0": date(2025, 5, 22),
    "claude-3-7-sonnet-latest": date(2025, 2, 24),
    "claude-3-5-haiku-latest": date(2024, 10, 22),
    "claude-3-haiku-20240307": date(2024, 3, 7),
    "claude-3-opus-latest": date(2024, 2, 29),
}


def list_models(query: Query, today: date) -> dict[str, Any] | ApiError:
    """Return a page of the models, newest first; retired ones only where `lifecycle[]` asks."""
    asked: Sequence[str] = query.get("lifecycle[]") or query.get("lifecycle") or USUAL_STAGES
    for place, stage in enumerate(asked):
        if stage not in STAGES:
            return invalid(
                f"lifecycle.{place}: Input should be 'active', 'deprecated' or 'retired'"
            )
    listed = [row for row in models() if row.lifecycle(today) in asked]
    listed.sort(key=_released, reverse=True)
    return page([describe_model(row, today) for row in listed], query)


def retrieve_model(name: str, today: date) -> dict[str, Any] | ApiError:
    """Return one model by its id or an alias, retired ones too, or the 404 for another name."""
    try:
        return describe_model(model(name), today)
    except UnknownModel:
        return not_found(f"model: {name}")


def describe_model(row: Model, today: date) -> dict[str, Any]:
    """Return the object of one model, its lifecycle as on that day."""
    return {
        "type": "model",
        "id": snapshot(row),
        "display_name": _display_name(row),
        "created_at": _midnight(_released(row)),
        "lifecycle": row.lifecycle(today),
        "deprecated_at": None,
        "retires_at": None if row.retires is None else _midnight(row.retires),
        "line": row.line,
        "max_input_tokens": row.context_window,
        "max_tokens": row.max_output,
        "capabilities": _capabilities(row, model_rules(row)),
    }


def _released(row: Model) -> date:
    known = row.released or RECORDED.get(row.id)
    if known is None and row.retires_not_before is not None:
        known = row.retires_not_before.replace(year=row.retires_not_before.year - 1)
    return known or UNKNOWN_DAY


def _display_name(row: Model) -> str:
    """Write "Claude Opus 4.5": the line, then the version without the date."""
    parts = row.id.split("-")
    version = ".".join(part for part in parts if part.isdigit() and len(part) < 3)
    if not version:
        return " ".join(part.capitalize() for part in parts)
    return f"Claude {row.line.capitalize()} {version.removesuffix('.0')}"


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _capabilities(row: Model, rules: ModelRules) -> dict[str, Any]:
    since_4_6 = "adaptive" in rules.thinking
    since_4_5 = since_4_6 or row.context_window is not None
    return {
        "batch": _is(True),
        "citations": _is(True),
        "code_execution": _is(since_4_5),
        "context_management": {
            "clear_tool_uses_20250919": _is(since_4_5),
            "clear_thinking_20251015": _is(since_4_5),
            "compact_20260112": _is(since_4_6),
            "supported": since_4_5,
        },
        "effort": {
            **{level: _is(level in rules.efforts) for level in EFFORTS},
            "supported": bool(rules.efforts),
        },
        "image_input": _is(True),
        "pdf_input": _is(True),
        "server_tools": {"web_search": _is(True), "code_execution": _is(True), "supported": True},
        "structured_outputs": _is(since_4_5),
        "thinking": {
            "types": {kind: _is(kind in rules.thinking) for kind in THINKING},
            "supported": bool(rules.thinking - {"disabled"}),
        },
    }


def _is(supported: bool) -> dict[str, bool]:
    return {"supported": supported}

"""A simulated answer as the API's JSON message: the envelope around what was composed.

Field names and their order are those of real recordings.  As a stream of events it is made by
`labkit.sim.events`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.catalog import model
from labkit.sim.answers import Composed
from labkit.sim.events import stream_chunks
from labkit.sim.model_rules import snapshot
from labkit.sim.prompt_cache import Plan

__all__ = ["build_message", "stream_chunks"]


def build_message(
    body: Mapping[str, Any],
    composed: Composed,
    plan: Plan,
    message_id: str,
    *,
    tier: str = "standard",
) -> dict[str, Any]:
    """Return the whole message.

    `plan` says how the prompt divides into uncached, read and written tokens; `tier` is the
    service tier that was used.  A dated model is called by its dated name, as on the real API.
    """
    asked = model(str(body["model"]))
    return {
        "model": snapshot(asked),
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "content": [dict(block) for block in composed.content],
        "container": None,
        "stop_reason": composed.stop_reason,
        "stop_sequence": composed.stop_sequence,
        "stop_details": None if composed.stop_details is None else dict(composed.stop_details),
        "usage": _usage(body, composed, plan, tier, asked.us_only_inference),
        "diagnostics": None,
    }


def _usage(
    body: Mapping[str, Any], composed: Composed, plan: Plan, tier: str, has_geography: bool
) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "input_tokens": plan.uncached,
        "cache_creation_input_tokens": plan.written_5m + plan.written_1h,
        "cache_read_input_tokens": plan.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": plan.written_5m,
            "ephemeral_1h_input_tokens": plan.written_1h,
        },
        "output_tokens": composed.output_tokens,
    }
    if composed.thinking_tokens is not None:
        usage["output_tokens_details"] = {"thinking_tokens": composed.thinking_tokens}
    usage["service_tier"] = tier
    usage["inference_geo"] = _geography(body) if has_geography else "not_available"
    if "speed" in body:
        usage["speed"] = body["speed"]
    return usage


def _geography(body: Mapping[str, Any]) -> str:
    return body.get("inference_geo") or "global"

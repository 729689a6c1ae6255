"""A simulated answer in the API's wire format: one JSON message, or its stream of events.

Field names and the order and spelling of events are those of real recordings; the timing of
the events is the simulated time at which each token would be ready.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

from labkit.sim.tokens import count_text, first_tokens

__all__ = ["build_message", "stream_chunks"]

PIECE = re.compile(r"\s*\S+\s*(?:\S+\s*)?|\s+")
"""A text delta carries one or two words."""
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
"""Right after the first block's start in most recordings, though nothing may depend on it."""


def build_message(
    body: Mapping[str, Any], text: str, prompt_tokens: int, message_id: str
) -> dict[str, Any]:
    """Return the whole message; text beyond `max_tokens` is cut and says so in `stop_reason`."""
    name, limit = str(body["model"]), int(body["max_tokens"])
    stop_reason = "end_turn"
    if count_text(text, name) > limit:
        text, stop_reason = first_tokens(text, limit, name), "max_tokens"
    usage = {
        "input_tokens": prompt_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": min(limit, count_text(text, name)),
        "service_tier": "standard",
        "inference_geo": body.get("inference_geo", "global"),
    }
    if "speed" in body:
        usage["speed"] = body["speed"]
    return {
        "model": name,
        "id": message_id,
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "stop_details": None,
        "usage": usage,
    }


def stream_chunks(
    message: Mapping[str, Any], first_token_s: float, token_s: float, dice: random.Random
) -> Iterator[tuple[float, bytes]]:
    """Yield (seconds, bytes) for each event of the message as a stream."""
    start = {**message, "content": [], "stop_reason": None}
    start["usage"] = {**message["usage"], "output_tokens": dice.randint(1, 8)}
    yield first_token_s, _event("message_start", message=start)
    at, name = first_token_s, str(message["model"])
    for index, block in enumerate(message["content"]):
        empty = {"type": "text", "text": ""}
        yield at, _event("content_block_start", index=index, content_block=empty)
        yield at, PING
        said = ""
        for piece in PIECE.findall(block["text"]):
            delta = {"type": "text_delta", "text": piece}
            yield at, _event("content_block_delta", index=index, delta=delta)
            said += piece
            at = first_token_s + count_text(said, name) * token_s
        yield at, _event("content_block_stop", index=index)
    counted = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    usage = {key: message["usage"][key] for key in (*counted, "output_tokens")}
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None, "stop_details": None}
    yield at, _event("message_delta", delta=delta, usage=usage)
    yield at, _event("message_stop")


def _event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, separators=(",", ":"), ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()

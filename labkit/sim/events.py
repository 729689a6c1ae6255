"""A message as a stream of events, each at the time at which its last token would be ready.

Names, keys and order are those of WIRE-FORMAT.md 5.  Left open there and decided here: there is
one ping, right after the first block has started; a text delta carries one or two words, a
piece of a tool's input up to twelve characters.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import cycle
from typing import Any

from labkit.sim.answers import block_tokens
from labkit.sim.breakage import PING
from labkit.sim.spelling import spelled
from labkit.sim.tokens import count_text

__all__ = ["stream_chunks"]

Delta = tuple[float, dict[str, Any]]
"""The tokens of the block that are out before it, and the delta."""

PIECE = re.compile(r"\s*\S{1,40}\s*(?:\S{1,40}\s*)?|\s+")
FRAGMENTS = (5, 9, 3, 12)
"""Lengths of the pieces of a tool's input, again and again."""
LATE: Mapping[str, Mapping[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
    "server_tool_use": {"input": {}},
    "mcp_tool_use": {"input": {}},
    "compaction": {"content": None},
}
"""What is empty in the start of a block because its deltas bring it; other blocks start whole."""
TOLD_AT_LAST = (
    *("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
    *("output_tokens", "output_tokens_details", "iterations"),
)
AFTERWARDS = ("output_tokens_details", "iterations")
"""What of `usage` is not known when a stream begins."""
INPUT = TOLD_AT_LAST[:3]


def stream_chunks(
    message: Mapping[str, Any], first_token_s: float, token_s: float, dice: random.Random
) -> Iterator[tuple[float, bytes]]:
    """Yield (seconds, bytes) for each event of the message as a stream.

    The first token is ready at `first_token_s`, each further one `token_s` later.
    """
    usage, name = message["usage"], str(message["model"])
    promised = {key: value for key, value in usage.items() if key not in AFTERWARDS}
    for began in usage.get("iterations", ())[:1]:  # a compaction's prompt is what is read first
        promised |= {key: began[key] for key in (*INPUT, "cache_creation")}
    start = {**message, "content": [], "usage": {**promised, "output_tokens": dice.randint(1, 8)}}
    start |= {"stop_reason": None, "stop_sequence": None, "stop_details": None}
    managed = {key: start.pop(key) for key in ("context_management",) if key in start}
    yield first_token_s, _event("message_start", message=start)
    hidden = usage.get("output_tokens_details", {}).get("thinking_tokens")
    tokens = 0
    for index, block in enumerate(_streamed(message)):
        at = first_token_s + tokens * token_s
        begun = {**block, **LATE.get(block["type"], {})}
        yield at, _event("content_block_start", index=index, content_block=begun)
        if index == 0:
            yield at, PING
        needed = 0 if block["type"] == "compaction" else block_tokens(block, name, hidden)
        for out, delta in _deltas(block, name, needed):
            at = first_token_s + (tokens + out) * token_s
            yield at, _event("content_block_delta", index=index, delta=delta)
        tokens += needed
        at = first_token_s + tokens * token_s
        yield at, _event("content_block_stop", index=index)
    end = first_token_s + usage["output_tokens"] * token_s
    why = {key: message[key] for key in ("stop_reason", "stop_sequence", "stop_details")}
    told_at_last = {key: usage[key] for key in TOLD_AT_LAST if key in usage}
    yield end, _event("message_delta", delta=why, usage=told_at_last, **managed)
    yield end, _event("message_stop")


def _streamed(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the blocks of the stream: an empty answer is one empty text, as it was recorded."""
    if message["content"] or message["stop_reason"] != "end_turn":
        return list(message["content"])
    return [{"type": "text", "text": ""}]


def _deltas(block: Mapping[str, Any], model_name: str, needed: int) -> Iterator[Delta]:
    kind = block["type"]
    if kind in ("text", "thinking"):
        for tokens, piece in _counted(PIECE.findall(block[kind]), model_name):
            yield tokens, {"type": f"{kind}_delta", kind: piece}
    if kind == "compaction":
        yield 0, {"type": "compaction_delta", "content": block["content"]}
    if kind == "thinking":
        yield needed, {"type": "signature_delta", "signature": block["signature"]}
    if kind in LATE and "input" in LATE[kind]:
        text = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
        for tokens, piece in _counted(["", *_fragments(text)], model_name):
            yield tokens, {"type": "input_json_delta", "partial_json": piece}


def _counted(pieces: Iterable[str], model_name: str) -> Iterator[tuple[int, str]]:
    """Yield each piece with the tokens that are out before it."""
    said = ""
    for piece in pieces:
        yield count_text(said, model_name), piece
        said += piece


def _fragments(text: str) -> Iterator[str]:
    place = 0
    for length in cycle(FRAGMENTS):
        if place >= len(text):
            return
        yield text[place : place + length]
        place += length


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {spelled({'type': kind, **fields})}\n\n".encode()

"""What a server of the Messages API sends, written out reply by reply."""

from __future__ import annotations

import json
import zlib
from typing import Any

from labkit.sim.faults import error_reply
from labkit.sim.reply import Reply

MODEL = "claude-opus-5-5"
CALL: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "Hi"}],
}
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


def event(name: str, **data: Any) -> bytes:
    """Spell one server-sent event as the API does."""
    return f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode()


def message(text: str = "Hello", **more: Any) -> dict[str, Any]:
    """Build a Message."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
        **more,
    }


START = event("message_start", message=message("", stop_reason=None))
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
WORD = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hello"})
BLOCK_END = event("content_block_stop", index=0)
DELTA = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2})
STOP = event("message_stop")
EVENTS = (START, BLOCK, PING, WORD, BLOCK_END, DELTA, STOP)
OVERLOAD = event("error", error={"type": "overloaded_error", "message": "Overloaded"})


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def answer(text: str = "Hello", *, latency_s: float = 0.1, **headers: str) -> Reply:
    """Reply with a Message."""
    body = json.dumps(message(text)).encode()
    kind = {"content-type": "application/json"}
    return Reply(200, {**kind, **_named(headers)}, ((latency_s, body),))


def stream(*chunks: bytes, every_s: float = 0.1, ending: str = "complete", **headers: str) -> Reply:
    """Reply with a stream, one chunk every so many seconds."""
    timed = tuple(((number + 1) * every_s, chunk) for number, chunk in enumerate(chunks))
    kind = {"content-type": "text/event-stream; charset=utf-8"}
    return Reply(200, {**kind, **_named(headers)}, timed, ending)


def refusal(
    status: int = 529,
    error_type: str = "overloaded_error",
    *,
    error_code: str | None = None,
    latency_s: float = 0.1,
    **headers: str,
) -> Reply:
    """Reply with an error in the API's shape."""
    return error_reply(
        status,
        error_type,
        "No.",
        request_id="req_1",
        latency_s=latency_s,
        headers=_named(headers),
        error_code=error_code,
    )


REFUSED = Reply(0, ending="refused")
RESET = Reply(200, ending="reset")
SILENCE = Reply(200, ending="silence")


def packed(plain: bytes, bits: int) -> bytes:
    """Compress as a server does that flushes after every event."""
    squeeze = zlib.compressobj(wbits=bits)
    done = b""
    for one in plain.split(b"\n\n"):
        done += squeeze.compress(one + b"\n\n") + squeeze.flush(zlib.Z_SYNC_FLUSH)
    return done + squeeze.flush()


def cut(whole: bytes, places: list[int]) -> list[bytes]:
    """Cut bytes at some places."""
    at = sorted({place % (len(whole) + 1) for place in places})
    return [whole[a:b] for a, b in zip([0, *at], [*at, len(whole)], strict=True)]

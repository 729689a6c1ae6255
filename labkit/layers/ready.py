"""An answer made here and not by the API: a Message, the same as a stream, and its labels.

One label says which rung of a fallback ladder an answer comes from, so that no lower rung passes
for full quality; another, why a response cache had it or not.  A label travels with the answer:
on a Message as an extra field such as `labkit_rung`, which `model_dump` shows, and on a stream or
a raw response as a header such as `labkit-rung`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import httpx2
from anthropic import types

__all__ = [
    "CACHE",
    "AsyncReadyStream",
    "ReadyStream",
    "label_of",
    "put_label",
    "ready_message",
    "rung_of",
]

RUNG, CACHE = "labkit_rung", "labkit_cache"


def rung_of(answer: object) -> str | None:
    """Return the rung an answer comes from, None if no `Fallback` was asked for it.

    `answer` is a Message, a stream or a raw response.  The final message of a stream is put
    together by the SDK and carries no label: ask the stream.
    """
    return label_of(answer, RUNG)


def label_of(answer: object, kind: str) -> str | None:
    """Return a label of an answer, None where it has none."""
    label = getattr(answer, kind, None)
    if label is None:
        headers = _headers(answer)
        label = None if headers is None else headers.get(_header(kind))
    return label if isinstance(label, str) else None


def put_label(answer: object, label: str, kind: str = RUNG) -> None:
    """Write a label on an answer; what can carry none is left as it is."""
    headers = _headers(answer)
    if headers is not None:
        headers[_header(kind)] = label.encode("ascii", "replace").decode("ascii")
    elif isinstance(answer, anthropic.BaseModel):
        setattr(answer, kind, label)


def _header(kind: str) -> str:
    return kind.replace("_", "-")


def _headers(answer: object) -> Any:
    response = getattr(answer, "http_response", None) or getattr(answer, "response", None)
    return getattr(response, "headers", None)


def ready_message(text: str, rung: str, stop_reason: str = "end_turn") -> types.Message:
    """Return a Message that says `text`; its `model` names the rung, for no model wrote it."""
    return types.Message.model_validate(
        {
            "id": f"msg_labkit_{rung.replace(' ', '_')}",
            "type": "message",
            "role": "assistant",
            "model": f"labkit/{rung}",
            "content": [{"type": "text", "text": text}],
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
    )


class ReadyStream(anthropic.Stream[Any]):
    """A Message as the sync client's stream: its text is one delta, other blocks start whole."""

    def __init__(self, message: anthropic.BaseModel) -> None:
        self.response = _response(message)
        self._events = tuple(_events(message))

    def __stream__(self) -> Iterator[Any]:
        """Yield the events."""
        yield from self._events


class AsyncReadyStream(anthropic.AsyncStream[Any]):
    """A Message as the async client's stream."""

    def __init__(self, message: anthropic.BaseModel) -> None:
        self.response = _response(message)
        self._events = tuple(_events(message))

    async def __stream__(self) -> AsyncIterator[Any]:
        """Yield the events."""
        for event in self._events:
            yield event


def _response(message: anthropic.BaseModel) -> httpx2.Response:
    headers = {"content-type": "text/event-stream"}
    for kind in (RUNG, CACHE):
        if (label := label_of(message, kind)) is not None:
            headers[_header(kind)] = label.encode("ascii", "replace").decode("ascii")
    nothing_sent = httpx2.Request("POST", "/v1/messages")  # the SDK's beta helper looks at it
    return httpx2.Response(200, headers=headers, request=nothing_sent)


def _events(message: anthropic.BaseModel) -> Iterator[Any]:
    """Yield the events of a Message, or of a beta's Message, which has kinds of its own."""
    is_beta = not isinstance(message, types.Message)
    kinds, prefix = (types.beta, "BetaRaw") if is_beta else (types, "Raw")

    def event(kind: str, type_: str, **fields: object) -> Any:
        made: Any = getattr(kinds, f"{prefix}{kind}Event")
        return made.model_validate({"type": type_, **fields})

    whole: dict[str, Any] = message.to_dict()
    start = {**whole, "content": [], "stop_reason": None, "stop_sequence": None}
    yield event("MessageStart", "message_start", message=start)
    for index, block in enumerate(whole["content"]):
        text = block["text"] if block["type"] == "text" else None
        begun = block if text is None else {**block, "text": ""}
        yield event("ContentBlockStart", "content_block_start", index=index, content_block=begun)
        if text:
            delta = {"type": "text_delta", "text": text}
            yield event("ContentBlockDelta", "content_block_delta", index=index, delta=delta)
        yield event("ContentBlockStop", "content_block_stop", index=index)
    why = {name: whole.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield event("MessageDelta", "message_delta", delta=why, usage=whole["usage"])
    yield event("MessageStop", "message_stop")

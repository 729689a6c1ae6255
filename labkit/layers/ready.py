"""An answer made here and not by the API: a Message, the same as a stream, and its label.

The label says which rung of a fallback ladder an answer comes from, so that no lower rung passes
for full quality.  It travels with the answer: on a Message as the extra field `labkit_rung`,
which `model_dump` shows, and on a stream or a raw response as the header `labkit-rung`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import anthropic
import httpx2
from anthropic import types

__all__ = ["AsyncReadyStream", "ReadyStream", "put_label", "ready_message", "rung_of"]

FIELD, HEADER = "labkit_rung", "labkit-rung"


def rung_of(answer: object) -> str | None:
    """Return the rung an answer comes from, None if no `Fallback` was asked for it.

    `answer` is a Message, a stream or a raw response.  The final message of a stream is put
    together by the SDK and carries no label: ask the stream.
    """
    label = getattr(answer, FIELD, None)
    if label is None:
        headers = _headers(answer)
        label = None if headers is None else headers.get(HEADER)
    return label if isinstance(label, str) else None


def put_label(answer: object, rung: str) -> None:
    """Write the rung on an answer; what can carry no label is left as it is."""
    headers = _headers(answer)
    if headers is not None:
        headers[HEADER] = rung
    elif isinstance(answer, anthropic.BaseModel):
        setattr(answer, FIELD, rung)


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

    def __init__(self, message: types.Message) -> None:
        self.response = _response(message)
        self._events = tuple(_events(message))

    def __stream__(self) -> Iterator[Any]:
        """Yield the events."""
        yield from self._events


class AsyncReadyStream(anthropic.AsyncStream[Any]):
    """A Message as the async client's stream."""

    def __init__(self, message: types.Message) -> None:
        self.response = _response(message)
        self._events = tuple(_events(message))

    async def __stream__(self) -> AsyncIterator[Any]:
        """Yield the events."""
        for event in self._events:
            yield event


def _response(message: types.Message) -> httpx2.Response:
    headers = {"content-type": "text/event-stream"}
    label = rung_of(message)
    return httpx2.Response(200, headers=headers | ({HEADER: label} if label else {}))


def _events(message: types.Message) -> Iterator[Any]:
    whole = message.to_dict()
    start = {**whole, "content": [], "stop_reason": None, "stop_sequence": None}
    yield types.RawMessageStartEvent.model_validate({"type": "message_start", "message": start})
    blocks: list[Mapping[str, Any]] = whole["content"]  # type: ignore[assignment]
    for index, block in enumerate(blocks):
        place = {"index": index}
        text = block["text"] if block["type"] == "text" else None
        begun = block if text is None else {**block, "text": ""}
        yield types.RawContentBlockStartEvent.model_validate(
            {**place, "type": "content_block_start", "content_block": begun}
        )
        if text:
            delta = {"type": "text_delta", "text": text}
            yield types.RawContentBlockDeltaEvent.model_validate(
                {**place, "type": "content_block_delta", "delta": delta}
            )
        yield types.RawContentBlockStopEvent.model_validate({**place, "type": "content_block_stop"})
    why = {name: whole.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield types.RawMessageDeltaEvent.model_validate(
        {"type": "message_delta", "delta": why, "usage": whole["usage"]}
    )
    yield types.RawMessageStopEvent.model_validate({"type": "message_stop"})

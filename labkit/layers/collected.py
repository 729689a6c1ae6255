"""A stream's body as the Message that it was, once it has been read to its end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2

__all__ = ["collector", "message_in"]

DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}
"""Deltas that are appended to a text of their block."""


def collector(value: object) -> Any:
    """Return the stream under an SDK response that can be collected, None where there is none."""
    stream = getattr(getattr(value, "http_response", None), "stream", None)
    return stream if callable(getattr(stream, "collect", None)) else None


def message_in(raw: bytes, encoding: str) -> dict[str, Any] | None:
    """Put the events of a stream together; None where they do not make a whole message.

    `encoding` is that of the response, for example "gzip".
    """
    try:
        headers = {"content-encoding": encoding} if encoding else {}
        text = httpx2.Response(200, headers=headers, content=raw).content.decode("utf-8")
        return _assembled([json.loads(data) for data in _data(text)])
    except (ValueError, httpx2.DecodingError, KeyError, IndexError, TypeError, AttributeError):
        return None  # whoever read it has seen what is wrong with it


def _data(text: str) -> list[str]:
    lines = text.replace("\r\n", "\n").split("\n")
    return [line.removeprefix("data:") for line in lines if line.startswith("data:")]


def _assembled(events: list[dict[str, Any]]) -> dict[str, Any] | None:
    message: dict[str, Any] = {}
    for event in events:
        kind = event["type"]
        if kind == "message_start":
            message = {**event["message"], "content": []}
        elif kind == "content_block_start":
            message["content"].append(event["content_block"])
        elif kind == "content_block_delta":
            _grow(message["content"][event["index"]], event["delta"])
        elif kind == "message_delta":
            used = {name: count for name, count in event["usage"].items() if count is not None}
            message = {**message, **event["delta"], "usage": {**message["usage"], **used}}
        elif kind not in ("ping", "content_block_stop", "message_stop"):
            return None
    return message or None


def _grow(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    kind = delta["type"]
    if kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
    elif kind == "input_json_delta":
        pass  # a tool is used, so the message will not be kept
    else:
        name = DELTAS[kind]
        block[name] = block.get(name, "") + delta[name]

"""What the API would say no to before any model is asked: a malformed or an oversized request.

Statuses and types are the real API's.  Messages are its words where they are known from
recordings or its documentation, and in the same style where they are not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from labkit.catalog import Model, model
from labkit.errors import UnknownModel
from labkit.sim.tokens import count_prompt

__all__ = ["complaint", "parsed"]

REMOVED = ("temperature", "top_p", "top_k")
"""Sampling parameters, refused by API version 2026-10-21 (claude-api.md, ten things, 3)."""
ROLES = ("user", "assistant", "system")
TAKES_PREFILL = ("claude-opus-4-5", "claude-haiku-4-5", "claude-sonnet-4-5")
"""The models still served that go on from an unfinished answer (claude-api.md 3.4)."""
NOT_JSON = "The request body is not valid JSON"


def parsed(content: bytes) -> Any:
    """Return the JSON value of a request body, None if it is none.

    Neither NaN nor half a surrogate pair is JSON, although Python reads both.
    """
    try:
        body = json.loads(content, parse_constant=_refuse)
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    return body


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def complaint(body: Any, *, counting: bool) -> tuple[int, str, str] | None:
    """Return (status, type, message) of what is wrong with a request, None if nothing is.

    `counting` is for the token counting endpoint, which needs no `max_tokens`.
    """
    problem = _malformed(body, counting)
    if problem is not None:
        return 400, "invalid_request_error", problem
    try:
        asked = model(body["model"])
    except UnknownModel:
        return 404, "not_found_error", f"model: {body['model']}"
    problem = _unfit(body, asked, counting)
    return None if problem is None else (400, "invalid_request_error", problem)


def _malformed(body: Any, counting: bool) -> str | None:
    if not isinstance(body, dict):
        return NOT_JSON
    required = ("model", "messages") if counting else ("model", "max_tokens", "messages")
    missing = next((name for name in required if name not in body), None)
    if missing is not None:
        return f"{missing}: Field required"
    extra = next((name for name in REMOVED if name in body), None)
    if extra is not None:
        return f"{extra}: Extra inputs are not permitted"
    return _wrong_type(body, counting) or _wrong_messages(body["messages"])


def _wrong_type(body: Mapping[str, Any], counting: bool) -> str | None:
    if not isinstance(body["model"], str):
        return "model: Input should be a valid string"
    most = body.get("max_tokens", 0)
    if not counting and (isinstance(most, bool) or not isinstance(most, int)):
        return "max_tokens: Input should be a valid integer"
    if not counting and most < 0:
        return "max_tokens: Input should be greater than or equal to 0"
    if not isinstance(body.get("stream", False), bool):
        return "stream: Input should be a valid boolean"
    for name in ("inference_geo", "service_tier", "speed"):
        if not isinstance(body.get(name, ""), str):
            return f"{name}: Input should be a valid string"
    if "system" in body and not _is_content(body["system"]):
        return "system: Input should be a valid string or a list of text blocks"
    if not _is_list_of_objects(body.get("tools", [])):
        return "tools: Input should be a valid list of objects"
    return None


def _wrong_messages(messages: Any) -> str | None:
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            return f"messages.{number}: Input should be an object"
        if message.get("role") not in ROLES:
            return f"messages.{number}.role: Input should be 'user', 'assistant' or 'system'"
        if "content" not in message:
            return f"messages.{number}.content: Field required"
        if not _is_content(message["content"]):
            return f"messages.{number}.content: Input should be a valid string or a list of blocks"
    if messages[0]["role"] != "user":
        return "messages: first message must use the user role"
    return None


def _is_content(content: Any) -> bool:
    if isinstance(content, str):
        return True
    return _is_list_of_objects(content) and all(
        isinstance(block.get("type"), str)
        and (block["type"] != "text" or isinstance(block.get("text"), str))
        for block in content
    )


def _is_list_of_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)


def _unfit(body: Mapping[str, Any], asked: Model, counting: bool) -> str | None:
    """Say what this model cannot do of what a well-formed request asks."""
    if body["messages"][-1]["role"] == "assistant" and asked.id not in TAKES_PREFILL:
        return "This model does not support assistant message prefill."
    if not counting and asked.max_output is not None and body["max_tokens"] > asked.max_output:
        return (
            f"max_tokens: {body['max_tokens']} > {asked.max_output}, which is the maximum allowed "
            f"number of output tokens for {asked.id}"
        )
    tokens = count_prompt(body)
    if asked.context_window is not None and tokens > asked.context_window:
        return f"prompt is too long: {tokens} tokens > {asked.context_window} maximum"
    return None

"""The smaller endpoints, and the forms that every reply takes: JSON, JSON Lines, an error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from labkit.sim.batches import BatchStore
from labkit.sim.models_api import list_models, retrieve_model
from labkit.sim.pages import Query
from labkit.sim.problem import ApiError, not_allowed, not_found
from labkit.sim.reply import UPSTREAM, Reply
from labkit.sim.spelling import spelled

__all__ = ["Call", "batch_reply", "error_reply_of", "json_reply", "models_reply"]

USUAL_LATENCY_S = 0.05
"""Assumed time of everything that no model takes part in."""


class Call(NamedTuple):
    """One HTTP request: header names in lower case, path without query and final slash."""

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    content: bytes
    origin: str

    @property
    def betas(self) -> list[str]:
        """The beta features the header asks for."""
        return [name.strip() for name in self.headers.get("anthropic-beta", "").split(",") if name]


def json_reply(data: object, latency_s: float = USUAL_LATENCY_S) -> Reply:
    """Return a value as a JSON answer."""
    body = spelled(data).encode()
    took = str(round(latency_s * 1000))
    headers = {"content-type": "application/json", UPSTREAM: took}
    return Reply(200, headers, ((round(latency_s, 3), body),))


def error_reply_of(error: ApiError, request_id: str) -> Reply:
    """Return a refusal as an answer; `x-should-retry` says whether waiting can help."""
    headers = {
        "content-type": "application/json",
        "x-should-retry": "false" if error.retry_after is None else "true",
        UPSTREAM: str(round(USUAL_LATENCY_S * 1000)),
    }
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    body = json.dumps(error.body(request_id), ensure_ascii=False).encode("utf-8", "replace")
    return Reply(error.status, headers, ((USUAL_LATENCY_S, body),))


def models_reply(call: Call, today: date) -> Reply | ApiError:
    """Serve the Models API."""
    name = call.path.removeprefix("/v1/models").strip("/")
    if call.method != "GET":
        return not_allowed()
    return _sent(retrieve_model(name, today) if name else list_models(call.query, today))


def batch_reply(store: BatchStore, call: Call, body: Any, now: float) -> Reply | ApiError:
    """Serve the Message Batches API."""
    refused = store.admit(now)
    if refused is not None:
        return refused
    parts = call.path.removeprefix("/v1/messages/batches").strip("/").split("/")
    match (call.method, *[part for part in parts if part]):
        case ("POST",):
            if isinstance(body, ApiError):
                return body
            version = call.headers["anthropic-version"]
            made = store.create(body, now, version=version, betas=call.betas, origin=call.origin)
            return _sent(made)
        case ("GET",):
            return _sent(store.page(call.query, now, origin=call.origin))
        case ("GET", name):
            batch = store.retrieve(name, now, origin=call.origin)
            ended = isinstance(batch, dict) and batch["ended_at"] is not None
            return _sent(batch, {} if ended else {"retry-after": "10"})
        case ("POST", name, "cancel"):
            return _sent(store.cancel(name, now, origin=call.origin))
        case ("DELETE", name):
            return _sent(store.delete(name, now))
        case ("GET", name, "results"):
            return _results(store, name, now)
        case (_,) | (_, _) | (_, _, "cancel" | "results"):
            return not_allowed()
    return not_found(f"No such endpoint: {call.path}")


def _results(store: BatchStore, name: str, now: float) -> Reply | ApiError:
    lines = store.results(name, now)
    if isinstance(lines, ApiError):
        return lines
    headers = {
        "content-type": "application/x-jsonl",
        "content-disposition": f"attachment; filename*=utf-8''{name}_results.jsonl",
    }
    return Reply(200, headers, ((USUAL_LATENCY_S, b"".join(lines)),))


def _sent(
    answer: dict[str, Any] | ApiError, headers: Mapping[str, str] | None = None
) -> Reply | ApiError:
    if isinstance(answer, ApiError):
        return answer
    reply = json_reply(answer)
    return Reply(200, {**reply.headers, **(headers or {})}, reply.chunks)

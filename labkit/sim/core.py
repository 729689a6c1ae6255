"""The simulated Claude API's answering core: (request, time) in, a `Reply` out, no I/O.

The same seed and the same requests give the same replies, byte for byte.  It answers
Messages (plain and streamed) and token counting, refuses what the real API refuses, and
follows a fault timeline.  What it says is simulated and says so; see `labkit.sim.answers`.
"""

from __future__ import annotations

import hashlib
import json
import random
import threading
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import Any

from labkit.catalog import model
from labkit.errors import UnknownModel
from labkit.sim.answers import answer
from labkit.sim.faults import Fault, apply, error_reply
from labkit.sim.latency import draw
from labkit.sim.messages import build_message, stream_chunks
from labkit.sim.reply import Reply
from labkit.sim.tokens import count_prompt

__all__ = ["SimulatedApi"]

COUNT_LATENCY_S = 0.08
"""Assumed time of a count_tokens call."""
EPOCH = 1_767_225_600
"""Virtual time zero as a date: 2026-01-01T00:00:00Z."""
REMOVED = ("temperature", "top_p", "top_k")
"""Sampling parameters, refused by API version 2026-10-21 (claude-api.md, ten things, 3)."""


class SimulatedApi:
    """A Claude API in a box.

    `seed` decides all dice; `faults` is the timeline of what goes wrong, the first that
    applies decides.  `reply` may be called from several threads.
    """

    def __init__(self, *, seed: int = 0, faults: Sequence[Fault] = ()) -> None:
        self.seed = seed
        self.faults = tuple(faults)
        self._lock = threading.Lock()
        self._requests = 0

    def reply(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes, now: float
    ) -> Reply:
        """Return what the server does with a request that arrives at `now` (seconds)."""
        with self._lock:
            self._requests += 1
            number = self._requests
        dice = random.Random(f"{self.seed}/{number}/{hashlib.sha256(content).hexdigest()}")
        roll = dice.random()
        request_id = f"req_sim{_identifier(dice)}"
        reply = self._healthy(method, path, headers, content, dice, request_id)
        for fault in self.faults:
            if fault.strikes(number, now, roll):
                reply = apply(fault, reply, request_id)
                break
        date = formatdate(EPOCH + now + reply.first_byte_s, usegmt=True)
        dated = {**reply.headers, "date": date} if reply.status else reply.headers
        return Reply(reply.status, dated, reply.chunks, reply.ending)

    def _healthy(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes,
        dice: random.Random,
        request_id: str,
    ) -> Reply:
        path = path.partition("?")[0].rstrip("/")
        if not (headers.get("authorization") or headers.get("x-api-key")):
            return error_reply(
                401, "authentication_error", "invalid x-api-key", request_id=request_id
            )
        if method != "POST" or path not in ("/v1/messages", "/v1/messages/count_tokens"):
            return error_reply(
                404, "not_found_error", f"No such path: {path}", request_id=request_id
            )
        body = _parsed(content)
        counting = path.endswith("count_tokens")
        complaint = _complaint(body, counting)
        if complaint is not None:
            status, kind, message = complaint
            return error_reply(
                status,
                kind,
                message,
                request_id=request_id,
                headers={"x-should-retry": "false"},
            )
        tokens = count_prompt(body)
        if counting:
            return _json_reply({"input_tokens": tokens}, COUNT_LATENCY_S, request_id)
        return _answer(body, tokens, dice, request_id)


def _answer(body: dict[str, Any], tokens: int, dice: random.Random, request_id: str) -> Reply:
    first, per_token = draw(model(body["model"]).line, tokens, dice)
    message = build_message(body, answer(body, dice), tokens, f"msg_sim{_identifier(dice)}")
    if not body.get("stream"):
        latency = first + message["usage"]["output_tokens"] * per_token
        return _json_reply(message, latency, request_id)
    headers = {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache",
        "request-id": request_id,
        "x-envoy-upstream-service-time": str(round(first * 1000)),
    }
    events = stream_chunks(message, first, per_token, dice)
    return Reply(200, headers, tuple((round(at, 3), data) for at, data in events))


def _json_reply(data: Mapping[str, Any], latency_s: float, request_id: str) -> Reply:
    headers = {
        "content-type": "application/json",
        "request-id": request_id,
        "x-envoy-upstream-service-time": str(round(latency_s * 1000)),
    }
    body = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return Reply(200, headers, ((round(latency_s, 3), body),))


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _identifier(dice: random.Random) -> str:
    """21 characters, so that an id has the 24 of a real one after its underscore."""
    return f"{dice.getrandbits(84):021x}"


def _complaint(body: Any, counting: bool) -> tuple[int, str, str] | None:
    """Return (status, type, message) of what is wrong with a request, None if nothing is."""
    problem = _malformed(body, counting)
    if problem is not None:
        return 400, "invalid_request_error", problem
    try:
        window = model(str(body["model"])).context_window
    except UnknownModel:
        return 404, "not_found_error", f"model: {body['model']}"
    tokens = count_prompt(body)
    if window is not None and tokens > window:
        problem = f"prompt is too long: {tokens} tokens > {window} maximum"
        return 400, "invalid_request_error", problem
    return None


def _malformed(body: Any, counting: bool) -> str | None:
    if not isinstance(body, dict):
        return "The request body is not valid JSON"
    required = ("model", "messages") if counting else ("model", "max_tokens", "messages")
    missing = next((name for name in required if name not in body), None)
    if missing is not None:
        return f"{missing}: Field required"
    extra = next((name for name in REMOVED if name in body), None)
    if extra is not None:
        return f"{extra}: Extra inputs are not permitted"
    messages = body["messages"]
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    if messages[0].get("role") != "user":
        return "messages: first message must use the user role"
    if messages[-1].get("role") == "assistant":
        return "This model does not support assistant message prefill."
    return None

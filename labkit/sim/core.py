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
from dataclasses import replace
from email.utils import formatdate
from typing import Any

from labkit.catalog import model
from labkit.sim.answers import Script, compose, spoiled
from labkit.sim.complaints import complaint, parsed
from labkit.sim.faults import Fault, apply, error_reply
from labkit.sim.latency import draw
from labkit.sim.messages import build_message, stream_chunks
from labkit.sim.prompt_cache import Plan
from labkit.sim.reply import Reply
from labkit.sim.tokens import count_prompt

__all__ = ["SimulatedApi"]

COUNT_LATENCY_S = 0.08
"""Assumed time of a count_tokens call."""
KEY_HEADERS = ("authorization", "x-api-key")
EPOCH = 1_767_225_600
"""Virtual time zero as a date: 2026-01-01T00:00:00Z."""


class SimulatedApi:
    """A Claude API in a box.

    `seed` decides all dice; `faults` is the timeline of what goes wrong, the first that
    applies decides; `script` says what to answer where the rules of `labkit.sim.answers` shall
    not.  `reply` may be called from several threads.
    """

    def __init__(
        self, *, seed: int = 0, faults: Sequence[Fault] = (), script: Script | None = None
    ) -> None:
        self.seed = seed
        self.faults = tuple(faults)
        self.script = script
        self._lock = threading.Lock()
        self._requests = 0

    def reply(
        self, method: str, path: str, headers: Mapping[str, str], content: bytes, now: float
    ) -> Reply:
        """Return what the server does with a request that arrives at `now` (seconds)."""
        with self._lock:
            self._requests += 1
            number = self._requests
        dice = random.Random(f"{self.seed}/{number}/{_question(content)}")
        request_id = f"req_sim{_identifier(dice)}"
        fault = self._fault(number, now, path, content)
        reply = self._healthy(method, path, headers, content, dice, request_id, number, fault)
        if fault is not None:
            reply = apply(fault, reply, request_id)
        date = formatdate(EPOCH + now + reply.first_byte_s, usegmt=True)
        dated = {**reply.headers, "date": date} if reply.status else reply.headers
        return replace(reply, headers=dated)

    def _fault(self, number: int, now: float, path: str, content: bytes) -> Fault | None:
        body = parsed(content) if any(fault.model for fault in self.faults) else None
        name = str(body.get("model")) if isinstance(body, dict) else ""
        for place, fault in enumerate(self.faults):
            roll = random.Random(f"{self.seed}/{number}/fault {place}").random()
            if fault.strikes(number, now, roll, model_name=name, path=path):
                return fault
        return None

    def _healthy(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes,
        dice: random.Random,
        request_id: str,
        number: int,
        fault: Fault | None,
    ) -> Reply:
        path = path.partition("?")[0].rstrip("/")
        if not any(name.lower() in KEY_HEADERS and headers[name] for name in headers):
            return _refusal(401, "authentication_error", "invalid x-api-key", request_id)
        if method != "POST" or path not in ("/v1/messages", "/v1/messages/count_tokens"):
            return _refusal(404, "not_found_error", f"No such path: {path}", request_id)
        body = parsed(content)
        counting = path.endswith("count_tokens")
        wrong = complaint(body, counting=counting)
        if wrong is not None:
            return _refusal(*wrong, request_id)
        tokens = count_prompt(body)
        if counting:
            return _json_reply({"input_tokens": tokens}, COUNT_LATENCY_S, request_id)
        first, per_token = draw(model(body["model"]).line, tokens, dice)
        composed = compose(
            body, dice, seed=self.seed, number=number, script=self.script, prompt_tokens=tokens
        )
        plan = Plan(tokens, 0, 0, 0, None, ())
        said = spoiled(composed, fault, body["model"])
        message = build_message(body, said, plan, f"msg_sim{_identifier(dice)}")
        return _answer(body, message, (first, per_token), dice, request_id)


def _answer(
    body: dict[str, Any],
    message: dict[str, Any],
    pace: tuple[float, float],
    dice: random.Random,
    request_id: str,
) -> Reply:
    first, per_token = pace
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


def _refusal(status: int, error_type: str, message: str, request_id: str) -> Reply:
    headers = {"x-should-retry": "false"}
    return error_reply(status, error_type, message, request_id=request_id, headers=headers)


def _question(content: bytes) -> str:
    """Digest what is asked: the same whether or not it is to be streamed, in any order of keys."""
    body = parsed(content)
    if isinstance(body, dict):
        asked = {name: value for name, value in body.items() if name != "stream"}
        content = json.dumps(asked, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


def _identifier(dice: random.Random) -> str:
    """21 characters, so that an id has the 24 of a real one after its underscore."""
    return f"{dice.getrandbits(84):021x}"

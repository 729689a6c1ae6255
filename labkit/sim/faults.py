"""A fault timeline: what goes wrong at the simulated API, for which requests, and when.

    Fault("overloaded", first=2)                     the first two requests get a 529
    Fault("overloaded", start=10, end=40)            every request that arrives in that window
    Fault("internal", share=0.1)                     one request in ten, by seeded dice
    Fault("rate_limited", first=1, retry_after=30)   a 429 that asks for 30 seconds

Statuses, types and messages are those of real recordings (claude-api.md 3.1); the first
fault of a timeline that applies to a request decides.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf

from labkit.errors import UserError
from labkit.sim.reply import Reply

__all__ = ["ANSWERS", "FAULTS", "Fault", "apply", "error_reply"]

ANSWERS: Mapping[str, tuple[int, str, str]] = {
    "rate_limited": (429, "rate_limit_error", "This request would exceed your rate limit."),
    "spend_limit": (429, "rate_limit_error", "You have reached your monthly spend limit."),
    "internal": (500, "api_error", "Internal server error"),
    "gateway_timeout": (504, "timeout_error", "Processing timed out."),
    "overloaded": (529, "overloaded_error", "Overloaded"),
}
"""Faults that are answered: kind to status, error type and message."""

ERROR_LATENCY_S = 0.05
"""Assumed time of an error answer."""
SPEND_LIMIT = "enforced_spend_limit_reached"
BREAKAGES = ("refused", "reset", "silence", "cut", "stream_error", "slow", "unavailable")
FAULTS = tuple(sorted([*ANSWERS, *BREAKAGES]))


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    It strikes a request if the request is among the `first` so many, arrives within
    [`start`, `end`) seconds, and the dice fall within `share`.  `retry_after` (seconds) is
    sent with an error answer; `after` is how many stream events pass before a "cut" or a
    "stream_error"; `factor` is how many times slower "slow" is.  A body that is not streamed is
    "cut" half-way, and a "stream_error" is a 529 there.  Raises `UserError` for what cannot be.
    """

    kind: str
    first: int | None = None
    start: float = 0.0
    end: float = inf
    share: float = 1.0
    retry_after: float | None = None
    after: int = 0
    factor: float = 10.0

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise UserError(
                f"There is no fault called {self.kind!r}; use one of {', '.join(FAULTS)}."
            )
        if not 0 <= self.share <= 1:
            raise UserError(f"A fault's share lies between 0 and 1, so it cannot be {self.share}.")
        if not self.start <= self.end:
            raise UserError(f"A fault cannot start at {self.start} and end at {self.end}.")
        if self.after < 0 or not 0 < self.factor < inf or not 0 <= (self.retry_after or 0) < inf:
            raise UserError(
                "A fault's after and retry_after cannot be negative, and its factor is above 0."
            )

    @property
    def is_answer(self) -> bool:
        """Whether the API itself says no, so that the request costs neither tokens nor limits."""
        return self.kind in ANSWERS

    def strikes(self, number: int, now: float, roll: float) -> bool:
        """Whether it strikes request `number` (from 1) arriving at `now`, with dice at `roll`."""
        in_turn = self.first is None or number <= self.first
        return in_turn and self.start <= now < self.end and roll < self.share


def error_reply(
    status: int,
    error_type: str,
    message: str,
    *,
    request_id: str,
    latency_s: float = ERROR_LATENCY_S,
    headers: Mapping[str, str] | None = None,
    error_code: str | None = None,
) -> Reply:
    """Return an error answer in the API's own shape."""
    error: dict[str, object] = {"type": error_type, "message": message}
    if error_code is not None:
        error["details"] = {"error_code": error_code}
    body = {"type": "error", "error": error, "request_id": request_id}
    all_headers = {
        "content-type": "application/json",
        "request-id": request_id,
        "x-envoy-upstream-service-time": str(round(latency_s * 1000)),
        **(headers or {}),
    }
    return Reply(status, all_headers, ((latency_s, json.dumps(body).encode()),))


def apply(fault: Fault, healthy: Reply, request_id: str) -> Reply:
    """Return what the client gets instead of the `healthy` reply."""
    if fault.kind in ANSWERS:
        return _answer(fault, request_id)
    if fault.kind == "unavailable":  # a proxy's plain text, not the API's JSON
        return Reply(503, {"content-type": "text/plain"}, ((0.02, b"upstream connect error"),))
    if fault.kind == "slow":
        return healthy.slowed(fault.factor)
    if fault.kind == "refused":
        return Reply(0, ending="refused")
    if fault.kind in ("reset", "silence"):
        return Reply(healthy.status, healthy.headers, (), ending=fault.kind)
    return _broken_stream(fault, healthy, request_id)


def _answer(fault: Fault, request_id: str) -> Reply:
    status, error_type, message = ANSWERS[fault.kind]
    headers = {}
    if fault.retry_after is not None:
        headers["retry-after"] = _seconds(fault.retry_after)
    asks_to_wait = fault.kind == "rate_limited" and fault.retry_after is not None
    if asks_to_wait or fault.kind in ("internal", "overloaded"):
        headers["x-should-retry"] = "true"
    code = SPEND_LIMIT if fault.kind == "spend_limit" else None
    return error_reply(
        status, error_type, message, request_id=request_id, headers=headers, error_code=code
    )


def _seconds(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _broken_stream(fault: Fault, healthy: Reply, request_id: str) -> Reply:
    """Break an answer off: a stream before its last event at the latest, a body half-way."""
    if not healthy.headers["content-type"].startswith("text/event-stream"):
        return _broken_body(fault, healthy, request_id)
    passed = min(fault.after, len(healthy.chunks) - 1)
    kept, at = healthy.chunks[:passed], healthy.chunks[passed][0]
    if fault.kind == "cut":
        return replace(healthy, chunks=kept, ending="reset", ended_s=at)
    error = {"details": None, "type": "overloaded_error", "message": "Overloaded"}
    body = {"type": "error", "error": error, "request_id": request_id}
    event = f"event: error\ndata: {json.dumps(body)}\n\n".encode()
    return replace(healthy, chunks=(*kept, (at, event)))


def _broken_body(fault: Fault, healthy: Reply, request_id: str) -> Reply:
    if fault.kind == "stream_error":  # there is no stream to hold the event: the status says it
        overloaded = replace(fault, kind="overloaded")
        return _answer(overloaded, request_id) if healthy.status == 200 else healthy
    at, body = healthy.chunks[0]
    return replace(healthy, chunks=((at, body[: len(body) // 2]),), ending="reset")

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
from dataclasses import dataclass
from math import inf

from labkit.errors import UserError
from labkit.sim.reply import Reply

__all__ = ["FAULTS", "Fault", "apply", "error_reply"]

ANSWERS: Mapping[str, tuple[int, str, str]] = {
    "rate_limited": (429, "rate_limit_error", "This request would exceed your rate limit."),
    "spend_limit": (429, "rate_limit_error", "You have reached your monthly spend limit."),
    "internal": (500, "api_error", "Internal server error"),
    "gateway_timeout": (504, "timeout_error", "Processing timed out."),
    "overloaded": (529, "overloaded_error", "Overloaded"),
}
"""Faults that are answered: kind to status, error type and message."""

BREAKAGES = ("refused", "reset", "silence", "cut", "stream_error", "slow", "unavailable")
FAULTS = tuple(sorted([*ANSWERS, *BREAKAGES]))


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    It strikes a request if the request is among the `first` so many, arrives within
    [`start`, `end`) seconds, and the dice fall within `share`.  `retry_after` (seconds) is
    sent with an error answer; `after` is how many stream events pass before a "cut" or a
    "stream_error"; `factor` is how many times slower "slow" is.
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
    latency_s: float = 0.05,
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
    return _broken_stream(fault, healthy)


def _answer(fault: Fault, request_id: str) -> Reply:
    status, error_type, message = ANSWERS[fault.kind]
    headers = {}
    if fault.retry_after is not None:
        headers["retry-after"] = f"{fault.retry_after:g}"
    if fault.kind == "internal":
        headers["x-should-retry"] = "true"
    code = "enforced_spend_limit_reached" if fault.kind == "spend_limit" else None
    return error_reply(
        status, error_type, message, request_id=request_id, headers=headers, error_code=code
    )


def _broken_stream(fault: Fault, healthy: Reply) -> Reply:
    kept = healthy.chunks[: fault.after]
    if fault.kind == "cut":
        return Reply(healthy.status, healthy.headers, kept, ending="reset")
    at = healthy.chunks[min(fault.after, len(healthy.chunks) - 1)][0]
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    event = f"event: error\ndata: {json.dumps(error)}\n\n".encode()
    return Reply(healthy.status, healthy.headers, (*kept, (at, event)))

"""A fault timeline: what goes wrong at the simulated API, for which requests, and when.

    Fault("overloaded", first=2)                     the first two requests get a 529
    Fault("overloaded", start=10, end=40)            every request that arrives in that window
    Fault("internal", share=0.1)                     one request in ten, by seeded dice
    Fault("rate_limited", first=1, retry_after=30)   a 429 that asks for 30 seconds
    Fault("slow", model="claude-opus-5-5")           only the requests to that model

All kinds stand in `labkit.sim.fault_kinds`.  The first fault of a timeline that applies to a
request decides.  A timeline may also be read from a file: `labkit.sim.scenario`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from labkit.catalog import model
from labkit.sim import breakage
from labkit.sim.error_answers import ERROR_LATENCY_S, PROXY_LATENCY_S, error_reply
from labkit.sim.fault_kinds import (
    ANSWERS,
    BATCH_FAULTS,
    CODES,
    FAULTS,
    SPEND_LIMIT,
    STOPS,
    UNSERVED,
)
from labkit.sim.fault_problems import check_fault
from labkit.sim.reply import Reply

__all__ = [
    "ANSWERS",
    "CODES",
    "ERROR_LATENCY_S",
    "FAULTS",
    "SPEND_LIMIT",
    "STOPS",
    "Fault",
    "apply",
    "error_reply",
]

RAMP_WAIT_S = 20.0
"""Assumed `retry_after` of a ramp limit; the API always sends one (claude-api.md 2.1)."""
HIDDEN_S = 10.0
"""Assumed time for which a new batch is not found, where nobody says how long it lasts."""
EMPTY_TOKENS = 3
"""An answer without content still counts two or three tokens (claude-api.md 4.3)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    It strikes a request if the request is among the `first` so many, arrives within
    [`start`, `end`) seconds, and the dice fall within `share`; where they are given, it must
    also be for `model` (any of its names) or `path` (such as "/v1/messages").  `first` counts
    every request, whatever it is for.  `retry_after` (seconds) is sent with an error answer.
    What `after`, `factor`, `every` (seconds) and `lasts` (seconds) mean depends on the kind:
    see `labkit.sim.fault_kinds`.  Raises `UserError` for what cannot be.
    """

    kind: str
    first: int | None = None
    start: float = 0.0
    end: float = inf
    share: float = 1.0
    retry_after: float | None = None
    after: int = 0
    factor: float = 10.0
    every: float = 1.0
    lasts: float = inf
    model: str | None = None
    path: str | None = None

    def __post_init__(self) -> None:
        check_fault(self)
        if self.kind == "ramp_limited" and self.retry_after is None:
            object.__setattr__(self, "retry_after", RAMP_WAIT_S)
        if self.kind == "batch_not_found_yet" and self.lasts == inf:
            object.__setattr__(self, "lasts", HIDDEN_S)

    @property
    def is_answer(self) -> bool:
        """Whether the API itself says no."""
        return self.kind in ANSWERS

    @property
    def is_served(self) -> bool:
        """Whether a model sees the request all the same, so that it costs tokens and limits."""
        return self.kind not in UNSERVED

    def strikes(
        self, number: int, now: float, roll: float, *, model_name: str = "", path: str = ""
    ) -> bool:
        """Whether it strikes request `number` (from 1) arriving at `now`, with dice at `roll`.

        Where it is limited to a model or a path, it strikes no request whose model or path is
        not told here.  A fault of batches strikes no request at all.
        """
        in_turn = self.first is None or number <= self.first
        if not in_turn or not self.start <= now < self.end or roll >= self.share:
            return False
        if self.path is not None and path.partition("?")[0].rstrip("/") != self.path:
            return False
        if self.model is not None and model_name not in model(self.model).names:
            return False
        return self.kind not in BATCH_FAULTS

    def tokens_left(self, usual: int) -> int:
        """Return the output tokens of an answer that would have `usual` of them without it."""
        if self.kind == "empty":
            return EMPTY_TOKENS
        if self.kind == "refusal":
            return min(self.after, usual)
        if self.kind == "out_of_tokens":
            return min(self.after or (usual + 1) // 2, usual)
        return usual


def apply(fault: Fault, healthy: Reply, request_id: str) -> Reply:
    """Return what the client gets instead of the `healthy` reply.

    A fault of what is said leaves the wire as it is: see `labkit.sim.answers.spoiled`.
    """
    if fault.kind in ANSWERS:
        return _answer(fault, request_id)
    if fault.kind == "unavailable":  # a proxy's plain text, not the API's JSON
        chunks = ((PROXY_LATENCY_S, b"upstream connect error"),)
        return Reply(503, {"content-type": "text/plain"}, chunks)
    if fault.kind == "refused":
        return Reply(0, ending="refused")
    if fault.kind in ("reset", "silence"):
        return Reply(healthy.status, healthy.headers, (), ending=fault.kind)
    if fault.kind == "slow":
        return healthy.slowed(fault.factor)
    if fault.kind == "drip":
        return breakage.dripped(healthy, fault.every)
    if fault.kind == "ping_only":
        return breakage.pinging(healthy, fault.every, fault.lasts)
    return _broken(fault, healthy, request_id)


def _broken(fault: Fault, healthy: Reply, request_id: str) -> Reply:
    if fault.kind == "cut":
        return breakage.cut(healthy, fault.after)
    if fault.kind == "no_message_stop":
        return breakage.unfinished(healthy, fault.after)
    if fault.kind == "malformed_json":
        return breakage.malformed(healthy, fault.after)
    if fault.kind == "wrong_length":
        return breakage.overpromised(healthy)
    if fault.kind == "stream_error" and breakage.is_stream(healthy):
        return breakage.with_error_event(healthy, fault.after, request_id)
    if fault.kind == "stream_error" and healthy.status == 200:
        return _answer(replace(fault, kind="overloaded"), request_id)  # no stream to hold it
    return healthy


def _answer(fault: Fault, request_id: str) -> Reply:
    status, error_type, message = ANSWERS[fault.kind]
    headers = {}
    if fault.retry_after is not None:
        headers["retry-after"] = _seconds(fault.retry_after)
    asks_to_wait = fault.kind.endswith("_limited") and fault.retry_after is not None
    if asks_to_wait or fault.kind in ("internal", "overloaded"):
        headers["x-should-retry"] = "true"
    code = CODES.get(fault.kind)
    return error_reply(
        status, error_type, message, request_id=request_id, headers=headers, error_code=code
    )


def _seconds(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)

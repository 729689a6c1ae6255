"""What a server has seen: the latest requests one by one, and all of them as counts."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from labkit.sim.engine import Decision
from labkit.sim.faults import Fault

__all__ = ["LONGEST", "Entry", "RequestLog", "endpoint_of"]

KEPT = 200
"""Requests that are remembered one by one."""
LONGEST = 200
"""Characters of a target or a name that are remembered."""
FIXED = ("/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches", "/v1/models")
BATCH, MODEL = "/v1/messages/batches/{id}", "/v1/models/{id}"


@dataclass(slots=True)
class Entry:
    """One request: when it arrived (seconds), and what came of it.

    `status` is 0 where the connection was to be refused, `duration_s` how long the whole reply
    is, and the tokens are those that a model saw and said.
    """

    at: float
    method: str
    target: str
    status: int
    duration_s: float
    model: str = ""
    fault: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    client_left: bool = False


@dataclass(slots=True)
class RequestLog:
    """Counts over the whole life of a server, and the last 200 requests."""

    latest: deque[Entry] = field(default_factory=lambda: deque(maxlen=KEPT))
    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    under_way: int = 0

    def note(self, entry: Entry, fault: Fault | None, decision: Decision | None) -> Entry:
        """Count a request, and the fault and the decision that it came to; return its entry."""
        self.requests[endpoint_of(entry.target), entry.status] += 1
        if fault is not None:
            entry.fault = fault.kind
            self.faults[fault.kind] += 1
        if decision is not None:
            self._count(entry, decision)
        entry.target = entry.target[:LONGEST]
        self.latest.append(entry)
        return entry

    def _count(self, entry: Entry, decision: Decision) -> None:
        if decision.refusal is not None:
            self.refusals[decision.refusal.kind.replace(" ", "_")] += 1
        elif decision.fault is None or decision.fault.is_served:
            plan = decision.plan
            entry.input_tokens = plan.uncached + plan.read + plan.written_5m + plan.written_1h
            entry.output_tokens = decision.output_tokens
            self.tokens["input"] += plan.uncached
            self.tokens["cache_read"] += plan.read
            self.tokens["cache_write_5m"] += plan.written_5m
            self.tokens["cache_write_1h"] += plan.written_1h
            self.tokens["output"] += decision.output_tokens


def endpoint_of(target: str) -> str:
    """Return the endpoint a target belongs to, ids left out, so that there are few of them.

    >>> endpoint_of("/v1/messages/batches/msgbatch_sim1/results?x=1")
    '/v1/messages/batches/{id}/results'
    """
    path = target.partition("?")[0].rstrip("/")
    if path in FIXED:
        return path
    place, _, last = path.rpartition("/")
    if place == FIXED[3]:
        return MODEL
    if place == FIXED[2]:
        return BATCH
    if last in ("cancel", "results") and place.rpartition("/")[0] == FIXED[2]:
        return f"{BATCH}/{last}"
    return "other"

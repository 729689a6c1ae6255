"""What a client without words lives through: a decision of the engine as an outcome and a time."""

from __future__ import annotations

from typing import NamedTuple

from labkit.flow import Outcome
from labkit.sim.engine import Decision
from labkit.sim.faults import ANSWERS, ERROR_LATENCY_S, SPEND_LIMIT

__all__ = ["Fate", "fate"]

OK = Outcome(status=200)
TIMED_OUT = Outcome(error=TimeoutError("the attempt timed out"), unreachable=True)
REFUSED = Outcome(error=ConnectionRefusedError("connection refused"), unreachable=True)
RESET = Outcome(error=ConnectionResetError("connection reset"), unreachable=True)
UNAVAILABLE = Outcome(status=503, error_type="error")
STREAM_ERROR = Outcome(status=200, error_type="overloaded_error")


class Fate(NamedTuple):
    """What an attempt comes to: after how long, as what, and the tokens billed for it."""

    seconds: float
    outcome: Outcome
    input_tokens: int
    output_tokens: int


def fate(decision: Decision, patience: float) -> Fate:
    """Return what becomes of an attempt whose client waits `patience` seconds at most.

    A client that loses patience after `patience` seconds has still caused the answer, so its
    tokens count as billed (claude-api.md 9.2: nothing makes a retried POST free).
    """
    seconds, outcome, bills = _unhurried(decision)
    if seconds > patience:
        seconds, outcome = max(0.0, patience), TIMED_OUT
    if not bills:
        return Fate(seconds, outcome, 0, 0)
    plan = decision.plan
    prompt = plan.uncached + plan.read + plan.written_5m + plan.written_1h
    return Fate(seconds, outcome, prompt, decision.output_tokens)


def _unhurried(decision: Decision) -> tuple[float, Outcome, bool]:
    """Return (seconds, outcome, whether it is billed) for a client with all the time there is."""
    fault, refusal = decision.fault, decision.refusal
    if fault is not None and fault.is_answer:
        status, kind, _ = ANSWERS[fault.kind]
        code = SPEND_LIMIT if fault.kind == "spend_limit" else None
        headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
        return ERROR_LATENCY_S, Outcome(status, headers, kind, code), False
    if refusal is not None:
        if refusal.retry_after_s is None:
            headers = {"x-should-retry": "false"}
        else:
            headers = {"retry-after": str(refusal.retry_after_s)}
        return ERROR_LATENCY_S, Outcome(429, headers, "rate_limit_error"), False
    if fault is None:
        return decision.duration_s, OK, True
    if fault.kind == "slow":
        return decision.duration_s * fault.factor, OK, True
    if fault.kind == "refused":
        return 0.0, REFUSED, False
    if fault.kind == "unavailable":
        return ERROR_LATENCY_S, UNAVAILABLE, False
    if fault.kind == "silence":
        return float("inf"), TIMED_OUT, True
    if fault.kind == "stream_error":
        return decision.first_token_s, STREAM_ERROR, False
    return decision.first_token_s, RESET, fault.kind == "cut"

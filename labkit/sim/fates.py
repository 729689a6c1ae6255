"""What a client without words lives through: a decision of the engine as an outcome and a time."""

from __future__ import annotations

from msgspec import Struct

from labkit.flow import Outcome, Request, Used
from labkit.sim.breakage import DROP
from labkit.sim.engine import Decision
from labkit.sim.error_answers import ERROR_LATENCY_S, PROXY_LATENCY_S
from labkit.sim.fault_kinds import ANSWERS, CODES, STOPS
from labkit.sim.faults import Fault
from labkit.sim.prompt_cache import Plan, uncached

__all__ = ["Fate", "fate", "patience_of"]

DEFAULT_TIMEOUT_S = 600.0
"""The SDK's (claude-api.md 9.1)."""

TIMED_OUT = Outcome(error=TimeoutError("the attempt timed out"), unreachable=True)
REFUSED = Outcome(error=ConnectionRefusedError("connection refused"), unreachable=True)
RESET = Outcome(error=ConnectionResetError("connection reset"), unreachable=True)
UNAVAILABLE = Outcome(status=503, error_type="error")
STREAM_ERROR = Outcome(status=200, error_type="overloaded_error")
BYTES, BYTES_PER_TOKEN = 450, 2.5
"""Assumed size of an answer's JSON, for an answer that drips."""
ANSWERED_LATE = ("slow", "drip", "ping_only")
ANSWERED_OTHERWISE = (*STOPS, "no_message_stop", "malformed_json")
"""What a layer takes for an answer: only who reads the words finds out."""


class Fate(Struct):
    """What an attempt comes to: after how long, as what, and the tokens billed for it.

    `input_tokens` are those of the whole prompt; `cached` is how it divides where the prompt
    cache was asked.
    """

    seconds: float
    outcome: Outcome
    input_tokens: int
    output_tokens: int
    cached: Plan | None = None

    @property
    def plan(self) -> Plan:
        """How the prompt billed divides into uncached, read and written tokens."""
        return self.cached if self.cached is not None else uncached(self.input_tokens)


def patience_of(request: Request, now: float) -> float:
    """Return the seconds a client waits for a plain answer: to connect takes no time here."""
    limits, patience = request.timeout, DEFAULT_TIMEOUT_S
    if limits is not None:
        given = [length for length in (limits.first_token, limits.total) if length is not None]
        patience = min(given, default=patience)
    return patience if request.deadline is None else min(patience, request.deadline - now)


def fate(decision: Decision, patience: float) -> Fate:
    """Return what becomes of an attempt whose client waits `patience` seconds at most.

    A client that loses patience after `patience` seconds has still caused the answer, so its
    tokens count as billed (claude-api.md 9.2: nothing makes a retried POST free).
    """
    if decision.fault is None and decision.refusal is None and decision.duration_s <= patience:
        prompt, output, cached = decision.prompt_tokens, decision.output_tokens, decision.cached
        return Fate(decision.duration_s, _answer(decision, output), prompt, output, cached)
    seconds, outcome, bills = _unhurried(decision)
    if seconds > patience:
        seconds, outcome = max(0.0, patience), TIMED_OUT
    if not bills:
        return Fate(seconds, outcome, 0, 0)
    return Fate(seconds, outcome, decision.prompt_tokens, _tokens(decision), decision.cached)


def _answer(decision: Decision, output: int) -> Outcome:
    plan = decision.cached
    if plan is None:
        used = Used(decision.prompt_tokens, output)
    else:
        used = Used(plan.uncached, output, plan.read, plan.written_5m + plan.written_1h)
    return Outcome(200, decision.headers, meter=used)


def _tokens(decision: Decision) -> int:
    usual, fault = decision.output_tokens, decision.fault
    return usual if fault is None else fault.tokens_left(usual)


def _unhurried(decision: Decision) -> tuple[float, Outcome, bool]:
    """Return (seconds, outcome, whether it is billed) for a client with all the time there is."""
    fault, refusal = decision.fault, decision.refusal
    if fault is not None and fault.is_answer:
        status, kind, _ = ANSWERS[fault.kind]
        code = CODES.get(fault.kind)
        headers = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
        return ERROR_LATENCY_S, Outcome(status, headers, kind, code), False
    if refusal is not None:
        if refusal.retry_after_s is None:
            headers = {"x-should-retry": "false"}
        else:
            headers = {**decision.headers, "retry-after": str(refusal.retry_after_s)}
        return ERROR_LATENCY_S, Outcome(429, headers, "rate_limit_error"), False
    if fault is None:
        return decision.duration_s, _answer(decision, decision.output_tokens), True
    return _faulty(fault, decision)


def _faulty(fault: Fault, decision: Decision) -> tuple[float, Outcome, bool]:
    if fault.kind in ANSWERED_LATE:
        return _late(fault, decision), _answer(decision, decision.output_tokens), True
    if fault.kind in ANSWERED_OTHERWISE:
        tokens = _tokens(decision)
        seconds = decision.first_token_s + tokens * decision.token_s
        return seconds, _answer(decision, tokens), tokens > 0
    if fault.kind == "wrong_length":
        return decision.duration_s, RESET, True
    if fault.kind == "refused":
        return 0.0, REFUSED, False
    if fault.kind == "reset":
        return 0.0, RESET, False
    if fault.kind == "unavailable":
        return PROXY_LATENCY_S, UNAVAILABLE, False
    if fault.kind == "silence":
        return float("inf"), TIMED_OUT, True
    if fault.kind == "stream_error":
        return decision.first_token_s, STREAM_ERROR, False
    return decision.first_token_s, RESET, fault.kind == "cut"


def _late(fault: Fault, decision: Decision) -> float:
    """Return the seconds until the last byte of an answer that is held up on its way."""
    if fault.kind == "slow":
        return decision.duration_s * fault.factor
    if fault.kind == "ping_only":
        return decision.duration_s + fault.lasts
    pieces = (BYTES + BYTES_PER_TOKEN * decision.output_tokens) // DROP
    return decision.duration_s + pieces * fault.every

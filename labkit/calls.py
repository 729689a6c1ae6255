"""One call as a row, read off the OpenTelemetry span that the SDK opens for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan

from labkit.attempts import Attempt
from labkit.errors import BenchError
from labkit.pricing import Usage, cost
from labkit.spans import LightSpan

__all__ = ["Call", "call_of", "first_chunk"]

MESSAGES = "anthropic.messages.create"
FREE = ("anthropic.messages.count_tokens", "anthropic.models.list", "anthropic.models.retrieve")
"""Calls that cost nothing (claude-api.md 7)."""
LOSER = "without the attempt that lost to the other: nobody has said what it used"
LOST = ("timeout", "reset", "cancelled", "error event", "truncated")
"""How attempts end that may have been billed for nothing."""
SENT = "url.path"
"""The SDK sets this with a call's first request."""
MADE_HERE = "labkit/"
"""How the model of an answer begins that a layer had ready (`labkit.layers.ready`)."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of an SDK method, with all its attempts (0: a layer answered, nothing was sent).

    Token fields are named as in the API's `usage`, None where the call reported none;
    `latency_s` runs to the last byte, `first_chunk_s` to the first content of a stream;
    `layers` says what each layer did; `cost_usd` is None where unknown and `cost_note` says why,
    or what it leaves out.
    """

    number: int
    operation: str
    model: str | None
    attempts: int
    status: int | None
    error: str | None
    stop_reason: str | None
    input_tokens: int | None
    cache_creation_5m_input_tokens: int | None
    cache_creation_1h_input_tokens: int | None
    cache_read_input_tokens: int | None
    output_tokens: int | None
    start_s: float
    latency_s: float
    first_chunk_s: float | None
    layers: str
    cost_usd: Decimal | None
    cost_note: str


def call_of(
    span: ReadableSpan | LightSpan,
    number: int,
    began: float,
    ended: float,
    attempts: Sequence[Attempt],
) -> Call:
    """Return the row of a call's finished span; `began` and `ended` are on the ledger's clock."""
    found: Mapping[str, Any] = span.attributes or {}
    tokens = _tokens(found)
    price, note = _price(span.name, found, tokens, _noted(span, "request"))
    if not note and _noted(span, "hedged"):
        note = LOSER
    elif not note:
        note = _lost(attempts, int(found.get("http.request.resend_count", 0)))
    return Call(
        number=number,
        operation=span.name.removeprefix("anthropic."),
        model=found.get("gen_ai.response.model") or found.get("gen_ai.request.model"),
        attempts=int(found.get("http.request.resend_count", 0)) + 1 if SENT in found else 0,
        status=found.get("http.response.status_code"),
        error=found.get("error.type"),
        stop_reason=found.get("anthropic.message.stop_reason"),
        **tokens,
        start_s=began,
        latency_s=ended - began,
        first_chunk_s=first_chunk(began, attempts, found),
        layers=_story(span),
        cost_usd=price,
        cost_note=note,
    )


def _tokens(found: Mapping[str, Any]) -> dict[str, int | None]:
    """Undo the SDK's sum: its input count includes what the prompt cache read and wrote."""
    total = found.get("gen_ai.usage.input_tokens")
    read = found.get("gen_ai.usage.cache_read.input_tokens")
    written = found.get("gen_ai.usage.cache_write.input_tokens")
    hour = found.get("anthropic.usage.cache_creation.ephemeral_1h_input_tokens")
    return {
        "input_tokens": None if total is None else total - (read or 0) - (written or 0),
        "cache_creation_5m_input_tokens": None if written is None else written - (hour or 0),
        "cache_creation_1h_input_tokens": None if written is None else hour or 0,
        "cache_read_input_tokens": read,
        "output_tokens": found.get("gen_ai.usage.output_tokens"),
    }


def _price(
    name: str,
    found: Mapping[str, Any],
    tokens: Mapping[str, int | None],
    request: Mapping[str, Any],
) -> tuple[Decimal | None, str]:
    answered_by = str(found.get("gen_ai.response.model") or found.get("gen_ai.request.model"))
    free = _free(name, found, tokens["output_tokens"], answered_by)
    if free:
        return Decimal(0), free
    if name != MESSAGES:
        return None, "not a Messages call"
    if tokens["input_tokens"] is None or tokens["output_tokens"] is None:
        return None, "the call reported no usage, or not all of it"
    if any(count is not None and count < 0 for count in tokens.values()):
        return None, "the counts of tokens contradict each other"
    if answered_by.startswith(MADE_HERE):
        return None, "a layer answered; what its failed attempts cost is not known"
    if "anthropic.usage.compaction.input_tokens" in found:
        return None, "the span does not say how compaction's tokens divide"
    if "billed_apart" in request:
        return None, f"the span does not say what {request['billed_apart']} cost"
    usage = Usage(
        input_tokens=tokens["input_tokens"],
        output_tokens=tokens["output_tokens"],
        cache_creation_5m=tokens["cache_creation_5m_input_tokens"] or 0,
        cache_creation_1h=tokens["cache_creation_1h_input_tokens"] or 0,
        cache_read_input_tokens=tokens["cache_read_input_tokens"] or 0,
        service_tier=found.get("anthropic.response.service_tier"),
        speed=request.get("speed"),
        inference_geo=request.get("inference_geo"),
    )
    try:
        return cost(answered_by, usage), ""
    except BenchError as error:
        return None, str(error)


def _free(name: str, found: Mapping[str, Any], output: int | None, answered_by: str) -> str:
    """Say why a call costs nothing, in no words if it does."""
    if name in FREE:
        return "free"
    if SENT not in found:
        return "nothing was sent"
    refused = found.get("anthropic.message.stop_reason") == "refusal" and output == 0
    here = answered_by.startswith(MADE_HERE)
    return "refused before any output, so not billed" if refused and not here else ""


def _lost(attempts: Sequence[Attempt], resent: int) -> str:
    """Name the attempts that the price, which is the last one's, leaves out."""
    labels = [attempt.label for attempt in sorted(attempts, key=lambda attempt: attempt.start_s)]
    lost = sum(label in LOST for label in labels[:resent])
    return f"without lost attempts, which may have been billed: {lost}" if lost else ""


def first_chunk(
    began: float, attempts: Sequence[Attempt], found: Mapping[str, Any] | None = None
) -> float | None:
    """Return the seconds from the start of a call to its first content, None without any.

    The transport's time is preferred: the SDK measures with the machine's clock, which is not
    the one that a replay or a simulation lives by.
    """
    if attempts:
        last = max(attempts, key=lambda attempt: attempt.start_s).first_content_s
        return None if last is None else last - began
    seconds: float | None = (found or {}).get("gen_ai.response.time_to_first_chunk")
    return seconds


def _noted(span: ReadableSpan | LightSpan, name: str) -> Mapping[str, Any]:
    for event in span.events:
        if event.name == f"labkit.{name}":
            return event.attributes or {}
    return {}


def _story(span: ReadableSpan | LightSpan) -> str:
    """Put what the layers noted into one line, in order."""
    parts = []
    for event in span.events:
        if event.name.startswith("labkit.") and event.name != "labkit.request":
            facts = (event.attributes or {}).items()
            told = ", ".join(
                f"{key}={value:.2f}" if isinstance(value, float) else f"{key}={value}"
                for key, value in facts
            )
            parts.append(f"{event.name.removeprefix('labkit.')}({told})")
    return "; ".join(parts)

"""One attempt of a call as a row: what the client lived through in one HTTP exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from labkit.tap import Played

__all__ = ["Attempt", "attempt_of"]

CONTENT = b"event: content_block_delta\n"
BEGINNING, ENDS = b"event: message_start\n", (b"event: message_delta\n", b"event: message_stop\n")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One HTTP exchange within a call; times are seconds on the ledger's clock.

    `outcome` is one word of the request timeline's, `label` says it more exactly, and
    `first_content_s` is when the first words of a stream arrived (None: no stream, or no words).
    """

    span_id: int
    start_s: float
    end_s: float
    outcome: str
    label: str
    first_content_s: float | None


def attempt_of(played: Played) -> Attempt:
    """Return what the client lived through in one attempt."""
    outcome, label = _ending(played)
    content = _first_content(played)
    return Attempt(
        span_id=played.span.get_span_context().span_id,
        start_s=played.began,
        end_s=played.ended,
        outcome=outcome,
        label=label,
        first_content_s=None if content is None else played.began + content,
    )


def _ending(played: Played) -> tuple[str, str]:
    status = played.reply.status
    if played.ending in ("timeout", "reset", "refused"):
        return "unreachable", played.ending
    if status == 429:
        return "rate_limited", "429"
    if status >= 400:
        return "error", str(status)
    if status == 0 or (played.ending == "closed" and _is_stream(played)):
        return "unreachable", "cancelled"  # the client did not wait for an answer, or its end
    if _is_stream(played) and b"event: error\n" in played.reply.body:
        return "error", "error event"
    if status == 200 and played.ending == "complete" and _says_nothing(played):
        return "error", "truncated"
    return "ok", str(status)


def _is_stream(played: Played) -> bool:
    kind = played.reply.headers.get("content-type", "")
    return kind.startswith("text/event-stream")


def _says_nothing(played: Played) -> bool:
    """Whether a stream ended before its first content, so that it counts as a failed attempt."""
    body = played.reply.body
    return (
        _is_stream(played)
        and body.startswith(BEGINNING)
        and not any(event in body for event in (CONTENT, *ENDS))
    )


def _first_content(played: Played) -> float | None:
    """Return when the first content event had begun; a network may cut its bytes anywhere."""
    if not _is_stream(played):
        return None
    kept = b""
    for at, data in played.reply.chunks:
        kept = kept[-len(CONTENT) :] + data
        if CONTENT in kept:
            return at
    return None

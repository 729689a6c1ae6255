"""What a response cache keeps: which answers may be kept at all, and how one is given again.

Kept are whole answers in words, and for a moment the refusals of requests that are wrong and stay
wrong.  Never kept are the model's refusals, truncated answers, answers that use a tool or a
container, and all other errors (resilience.md 2.5).  JSON goes in and out, nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2
from anthropic import types

from labkit.flow import Outcome
from labkit.layers.ready import CACHE, put_label

__all__ = ["Cached", "body_of", "given_again", "objection"]

WHOLE = ("end_turn", "stop_sequence")
"""How an answer stops that is neither cut off, nor refused, nor waiting for a tool."""
WORDS = ("text", "thinking", "redacted_thinking")
REFUSALS: Mapping[int, type[anthropic.APIStatusError]] = {
    400: anthropic.BadRequestError,
    404: anthropic.NotFoundError,
    413: anthropic.ContentTooLargeError,
    422: anthropic.UnprocessableEntityError,
}
"""The statuses that say that the request itself is wrong, and what the SDK raises for them."""
OWN_LIMIT = "You have reached your specified"
"""How the message of a 400 begins that is about money: it can be lifted (claude-api.md 2.4)."""


@dataclass(frozen=True, slots=True)
class Cached:
    """An answer as it is kept: HTTP status and JSON body, and three points in time (seconds).

    Until `fresh_until` it is given at once, until `kept_until` only in place of an error.
    """

    status: int
    body: Any
    stored_at: float
    fresh_until: float
    kept_until: float

    def to_text(self) -> str:
        """Spell it for a store.  Raises ValueError for a body that is no JSON."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(fields, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_text(cls, text: str | None) -> Cached | None:
        """Read what a store gave back; None for nothing, and for what is no such text."""
        try:
            fields = json.loads(text or "null")
            found = cls(**fields)
        except (ValueError, TypeError):
            return None
        times = (found.stored_at, found.fresh_until, found.kept_until)
        sound = all(isinstance(time, (int, float)) for time in times)
        known = found.status == 200 or found.status in REFUSALS
        shaped = found.body is None or isinstance(found.body, dict)
        return found if sound and known and shaped else None


def body_of(outcome: Outcome) -> Any:
    """Return the JSON body of a plain answer or error that has been read; None if there is none."""
    response = getattr(outcome.value, "http_response", None)
    if response is None or not response.is_stream_consumed:
        return None
    try:
        return json.loads(response.content)
    except ValueError:
        return None


def objection(outcome: Outcome, body: Any) -> str:
    """Return why an outcome must not be kept, "" if it may be.  `body` is None in a fleet."""
    if outcome.ok and outcome.value is None:
        return ""
    if outcome.ok:
        return _objection_to_answer(body if isinstance(body, Mapping) else {})
    if outcome.status not in REFUSALS or outcome.transient:
        return f"an error ({outcome.reason})"
    error = body.get("error") if isinstance(body, Mapping) else None
    said = error.get("message") if isinstance(error, Mapping) else None
    return "a spending limit" if str(said).startswith(OWN_LIMIT) else ""


def _objection_to_answer(body: Mapping[str, Any]) -> str:
    stopped = body.get("stop_reason")
    if body.get("type") != "message" or stopped not in WHOLE:
        return f"it stopped for {stopped}" if stopped else "it is not a whole message"
    kinds = {block.get("type") for block in body.get("content") or ()}
    if not kinds.issubset(WORDS) or body.get("container"):
        return "it used a tool"
    return ""


def given_again(cached: Cached, label: str, *, stale: bool = False) -> Outcome:
    """Return the outcome that a cached answer or error is, with its label.

    Each is made anew, so that no caller can change another's.  A stale one is a rung of its own.
    """
    if cached.status != 200:
        return _refused(cached.status, cached.body)
    if cached.body is None:
        return Outcome(status=200)
    message = types.Message.construct(**cached.body)
    put_label(message, label, CACHE)
    if stale:
        put_label(message, "stale")
    return Outcome(status=200, value=message)


def _refused(status: int, body: Any) -> Outcome:
    error = body.get("error") if isinstance(body, Mapping) else None
    kind = error.get("type") if isinstance(error, Mapping) else None
    request = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")
    response = httpx2.Response(status, json=body, request=request)
    raised = REFUSALS[status](f"Error code: {status} - {body}", response=response, body=body)
    return Outcome(status=status, error_type=str(kind or "error"), error=raised)

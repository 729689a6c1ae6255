"""The rungs of a fallback ladder: what to try instead, and after which failures.

A failure has one of five causes, and a rung says which of them may lead to it (`on`):

- "unavailable": no connection, 408, 409, a 429 that will pass, 5xx, 529, a stream that failed at
  its start, or one of our own layers that refuses for now;
- "late": the time for this rung is over;
- "limit": a limit that waiting does not lift: money, or a 429 that names no time;
- "context": the conversation is too long: 413, a 400 that says so, an answer that stopped at the
  window's end, or `labkit.errors.ContextLimit`;
- "refusal": the model declined.  Of a stream, neither this nor its stop is known in time.

Anything else, such as a wrong request or key, would fail on every rung and has no cause here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.errors import BudgetSpent, ContextLimit, DeadlineExceeded, Refused
from labkit.flow import Outcome, Request
from labkit.layers.ready import ready_message

__all__ = ["Rung", "canned", "cause", "honest_refusal", "other_model", "shorter_answer", "stale"]

CAUSES = frozenset({"unavailable", "late", "limit", "context", "refusal"})
ASKING = ("unavailable", "late")
"""What leads to another request, unless its rung says otherwise."""
READY = ("unavailable", "late", "limit")
"""What leads to an answer that takes no time and no money, unless its rung says otherwise."""
TOO_LONG = "prompt is too long"
"""How the API's message begins (claude-api.md 3.4 and 8)."""
SORRY = "We cannot answer right now. Please try again in a few minutes."


@dataclass(frozen=True)
class Rung:
    """One rung: its answers are labelled `name`; it asks the API again, or has an answer ready.

    `ask` makes the body of the new request from the old one, which it must not change, and
    `patience` is the seconds that may take.  `answer` makes a Message, or None for the next rung.
    Raises ValueError for a cause that does not exist, and unless it has exactly one of the two.
    """

    name: str
    on: Collection[str] = READY
    ask: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    answer: Callable[[Request], Any] | None = None
    patience: float | None = None

    def __post_init__(self) -> None:
        if (self.ask is None) == (self.answer is None):
            raise ValueError(f"The rung {self.name!r} either asks or has an answer ready.")
        if not self.name.isascii() or not self.name.isprintable():
            raise ValueError(f"A rung's name goes into a header, so it cannot be {self.name!r}.")
        if not CAUSES.issuperset(self.on) or isinstance(self.on, str):
            raise ValueError(f"A rung is for some of {sorted(CAUSES)}, not {self.on!r}.")


def other_model(
    model: str,
    *,
    name: str | None = None,
    on: Collection[str] = ASKING,
    patience: float | None = None,
    **changes: object,
) -> Rung:
    """Ask another model; further `changes` go into the body too, and None takes a field out."""

    def ask(body: Mapping[str, Any]) -> Mapping[str, Any]:
        changed = {**body, **changes, "model": model}
        return {field: value for field, value in changed.items() if value is not None}

    return Rung(name or model, on, ask=ask, patience=patience)


def shorter_answer(
    max_tokens: int,
    *,
    name: str = "shorter answer",
    on: Collection[str] = ASKING,
    patience: float | None = None,
) -> Rung:
    """Ask the same model for `max_tokens` at most: quicker, and easier on a limit of tokens."""

    def ask(body: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**body, "max_tokens": min(max_tokens, body.get("max_tokens", max_tokens))}

    return Rung(name, on, ask=ask, patience=patience)


def stale(
    find: Callable[[Request], Any], *, name: str = "stale", on: Collection[str] = READY
) -> Rung:
    """Give an older answer: `find` returns a Message, or None where there is none to give.

    The Message is copied before it is labelled, so it may come straight out of a store.
    """

    def answer(request: Request) -> Any:
        found = find(request)
        return None if found is None else found.model_copy()

    return Rung(name, on, answer=answer)


def canned(text: str, *, name: str = "canned", on: Collection[str] = READY) -> Rung:
    """Say a text that somebody wrote beforehand."""
    return Rung(name, on, answer=lambda _: ready_message(text, name))


def honest_refusal(
    text: str = SORRY, *, name: str = "honest refusal", on: Collection[str] = READY
) -> Rung:
    """Say that there is no answer.  The stop reason is "refusal", so nobody takes it for one."""
    return Rung(name, on, answer=lambda _: ready_message(text, name, "refusal"))


def cause(outcome: Outcome, *, read: bool = True) -> str:
    """Return which of the five causes an outcome is, "" for an answer and for any other failure.

    `read` says whether to look into its body, where a refusal and a prompt that is too long show.
    """
    error = outcome.error
    told = _told(outcome) if read and (outcome.ok or outcome.status == 400) else ""
    if told or outcome.ok:
        return told
    if isinstance(error, DeadlineExceeded):
        return "late"
    if isinstance(error, ContextLimit) or outcome.status == 413:
        return "context"
    if isinstance(error, BudgetSpent) or (outcome.status == 429 and not outcome.transient):
        return "limit"
    status = outcome.status or 0
    passing = outcome.transient or isinstance(error, Refused) or status == 200 or status >= 500
    return "unavailable" if passing else ""


def _told(outcome: Outcome) -> str:
    """Return the cause that a body tells of."""
    body = _body(outcome.value)
    stop_reason = body.get("stop_reason")
    if stop_reason == "refusal":
        return "refusal"
    error = body.get("error")
    said = str(error.get("message", "")) if isinstance(error, Mapping) else ""
    too_long = stop_reason == "model_context_window_exceeded" or said.startswith(TOO_LONG)
    return "context" if too_long else ""


def _body(value: object) -> Mapping[str, Any]:
    """Read a Message, or a response whose body has arrived; of a stream nothing is known yet."""
    response = getattr(value, "http_response", None)
    if response is None:
        return {"stop_reason": getattr(value, "stop_reason", None)}
    kind = response.headers.get("content-type", "")
    if not response.is_stream_consumed or not kind.startswith("application/json"):
        return {}
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, Mapping) else {}

"""A fallback ladder: when the full answer cannot be had, a lesser one, under its own name.

    Fallback(
        other_model("claude-haiku-5-5"),
        stale(store.get),
        canned("We are very busy. Your place is kept; please try again in a few minutes."),
    )

Each answer is labelled with the rung that it comes from: `rung_of(answer)` reads the label, and
the call's span has a note.  The ladder has no memory.  The next call begins at the top again, and
a breaker further in decides whether that is worth a request.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import anthropic
from anthropic import APIRequest

from labkit.drivers import Layer
from labkit.flow import Effect, Flow, Note, Now, Outcome, Request, Send, Timeouts
from labkit.layers.ready import AsyncReadyStream, ReadyStream, put_label, rung_of
from labkit.layers.rungs import Rung, cause

__all__ = ["Fallback", "rung_of"]

TOP = "full"
"""The label of an answer to the request as it was made."""
RAW = "X-Stainless-Raw-Response"
"""The SDK's header of calls by `with_raw_response`, which parse the answer themselves."""


class Fallback(Layer):
    """Tries the request as it is, then the `rungs` in order, as far as their causes allow.

    Place it inside of `Deadline` and outside of `Retry`.  `patience` is the seconds that the
    request as it was made may take (None: as long as the deadline allows); each attempt of a
    stream has them until its first content.  From a deadline `reserve` seconds are kept back, so
    that a ready answer comes in time; with no time left nobody is asked.  Where no rung answers,
    the caller gets the first failure.

    A stream that has shown its first content is never replaced.  A caller of
    `with_raw_response` gets a ready answer as a plain Message, for there is no response.
    Cancellations and bench errors go straight up.  Raises ValueError without rungs, for two of
    one name, or for a negative time.
    """

    def __init__(self, *rungs: Rung, patience: float | None = None, reserve: float = 0.1) -> None:
        names = [TOP, *(rung.name for rung in rungs)]
        if not rungs or len(set(names)) < len(names):
            raise ValueError(f"A ladder has rungs with names of their own, not {names}.")
        if reserve < 0 or (patience is not None and not patience > 0):
            raise ValueError("Patience is above 0 seconds, and a reserve at least 0.")
        self.rungs, self.patience = rungs, patience
        self.reserve = reserve if any(rung.answer for rung in rungs) else 0.0
        self._reads = any({"refusal", "context"} & set(rung.on) for rung in rungs)

    def flow(self, request: Request) -> Flow:
        """Ask; while there is a cause to, go one rung down; label what came of it."""
        if not _is_for_a_message(request):
            outcome: Outcome = yield Send(request)
            return outcome
        asked = request
        if request.deadline is not None:
            asked = request.within(request.deadline - self.reserve)
        best = latest = yield from _ask(asked, self.patience)
        why, name, limited = self._cause(latest), TOP, self.patience is not None
        for rung in self.rungs:
            if not (yield from _fits(rung, why, asked, limited)):
                continue
            yield Note("fell", to=rung.name, cause=why, because=latest.reason)
            tried = yield from _try(rung, asked)
            if tried is None:
                continue
            latest, why, limited = tried, self._cause(tried), rung.patience is not None
            if tried.ok:
                best, name = tried, rung.name
            elif not why:
                why = "unavailable"  # what is wrong is the rung's request, and not the caller's
        if best.ok:
            yield Note("rung", name=_labelled(best, name))
        return best

    def _cause(self, outcome: Outcome) -> str:
        return cause(outcome, read=self._reads)

    def handle(self, request: APIRequest, call_next: anthropic.CallNext) -> Any:
        """Drive the flow for the sync client, and label what the caller will see."""
        answer = super().handle(request, call_next)
        if _is_ready(answer):
            return ReadyStream(answer) if request.stream else answer
        rung = rung_of(answer)
        if rung is not None and _is_for_the_sdk_to_parse(answer, request):
            put_label(answer.parse(), rung)  # the SDK parses once and keeps the result
        return answer

    async def handle_async(self, request: APIRequest, call_next: anthropic.AsyncCallNext) -> Any:
        """Drive the flow for the async client, and label what the caller will see."""
        answer = await super().handle_async(request, call_next)
        if _is_ready(answer):
            return AsyncReadyStream(answer) if request.stream else answer
        rung = rung_of(answer)
        if rung is not None and _is_for_the_sdk_to_parse(answer, request):
            put_label(await answer.parse(), rung)
        return answer


def _is_ready(answer: object) -> bool:
    return isinstance(answer, anthropic.types.Message)


def _is_for_the_sdk_to_parse(answer: object, request: APIRequest) -> bool:
    is_response = isinstance(answer, (anthropic.APIResponse, anthropic.AsyncAPIResponse))
    return is_response and not request.stream and RAW not in request.headers


def _is_for_a_message(request: Request) -> bool:
    return request.method == "POST" and request.path.partition("?")[0].endswith("/v1/messages")


def _ask(request: Request, patience: float | None) -> Flow:
    if patience is not None and request.stream:
        request = request.replace(timeout=_sooner(request.timeout, patience))
    elif patience is not None:
        request = request.within((yield Now()) + patience)
    outcome: Outcome = yield Send(request)
    return outcome


def _sooner(timeouts: Timeouts | None, patience: float) -> Timeouts:
    """Limit the wait for a stream's first content only: then it is the caller's, and goes on."""
    if timeouts is None:
        return Timeouts(first_token=patience)
    if timeouts.first_token is not None:
        patience = min(patience, timeouts.first_token)
    return timeouts.replace(first_token=patience)


def _fits(rung: Rung, why: str, request: Request, limited: bool) -> Generator[Effect, Any, bool]:
    """Say whether a rung is for this cause, and whether there is time to ask where it asks.

    A lateness leaves time where it was that of a rung's patience (`limited`), or where the
    deadline is known here and still to come.
    """
    if why not in rung.on or rung.ask is None:
        return why in rung.on
    if request.deadline is None:
        return why != "late" or limited
    now: float = yield Now()
    return now < request.deadline


def _labelled(outcome: Outcome, name: str) -> str:
    """Label the answer and return the label: a ladder further in may have done with less."""
    if name == TOP:
        name = rung_of(outcome.value) or TOP
    put_label(outcome.value, name)
    return name


def _try(rung: Rung, request: Request) -> Generator[Effect, Any, Outcome | None]:
    if rung.ask is not None:
        outcome: Outcome = yield from _ask(
            request.replace(body=rung.ask(request.body)), rung.patience
        )
        return outcome
    found = rung.answer(request) if rung.answer is not None else None
    return None if found is None else Outcome(status=200, value=found)

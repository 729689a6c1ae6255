"""A fleet: many calls through the very layers a program ships, as a discrete-event simulation.

Time is a heap of events.  A call is a stack of flows, outermost first, and the engine of the
simulated API stands at the bottom.  A day of traffic takes seconds, and the same seed gives
the same day.  Requests have sizes but no words: a body holds `prompt_tokens` and
`output_tokens` in place of `messages`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from math import inf
from typing import Any, NamedTuple, Protocol

from labkit.catalog import Model, model
from labkit.flow import Flow, Note, Now, Outcome, Request, Send, Sleep
from labkit.sim.engine import Ask, Engine
from labkit.sim.fates import Fate, fate

__all__ = ["Arrival", "AttemptRow", "CallRow", "Fleet", "Layered", "Sink"]

DEFAULT_TIMEOUT_S = 600.0
"""The SDK's (claude-api.md 9.1)."""


class Layered(Protocol):
    """Anything with a flow: the layers of `labkit.layers`."""

    def flow(self, request: Request) -> Flow:
        """Return the pattern as a generator."""
        ...


class Arrival(NamedTuple):
    """A call that somebody makes at `at` (seconds); sizes are in tokens.

    `output_tokens` None lets the engine draw the length; `kind` is free for the scenario.
    """

    at: float
    model: str
    prompt_tokens: int
    output_tokens: int | None = None
    max_tokens: int = 4096
    kind: str = ""


class CallRow(NamedTuple):
    """One call that has ended: how, after how many attempts, and when (seconds)."""

    call: int
    kind: str
    start_s: float
    end_s: float
    ok: bool
    reason: str
    attempts: int


class AttemptRow(NamedTuple):
    """One attempt that has ended; tokens are those billed."""

    call: int
    attempt: int
    start_s: float
    end_s: float
    status: int
    reason: str
    input_tokens: int
    output_tokens: int


class Sink(Protocol):
    """Where rows go as they come into being."""

    def call(self, row: CallRow) -> None:
        """Take a call that has ended."""
        ...

    def attempt(self, row: AttemptRow) -> None:
        """Take an attempt that has ended."""
        ...

    def note(self, call: int, at: float, note: Note) -> None:
        """Take what a layer noted."""
        ...


class _Call:
    """A call under way: its flows, outermost first, and how many attempts it has made."""

    __slots__ = ("arrival", "attempts", "flows", "number", "sent_at")

    def __init__(self, number: int, arrival: Arrival) -> None:
        self.number = number
        self.arrival = arrival
        self.flows: list[Flow] = []
        self.attempts = 0
        self.sent_at = 0.0


class Fleet:
    """Runs traffic through a stack of layers against an engine, row by row into a sink."""

    def __init__(self, stack: Sequence[Layered], engine: Engine, sink: Sink) -> None:
        self.stack = tuple(stack)
        self.engine = engine
        self.sink = sink
        self.now = 0.0
        self._events: list[tuple[float, int, _Call, Fate | None]] = []
        self._order = 0
        self._calls = 0
        self._models: dict[str, Model] = {}

    def run(self, traffic: Iterable[Arrival], *, until: float = inf) -> None:
        """Play the traffic, which must come in order of time, to its end or until `until`."""
        arrivals = iter(traffic)
        upcoming = next(arrivals, None)
        events = self._events
        while upcoming is not None or events:
            if upcoming is not None and (not events or upcoming.at <= events[0][0]):
                self.now = upcoming.at
                if self.now > until:
                    return
                self._begin(upcoming)
                upcoming = next(arrivals, None)
            else:
                self.now, _, call, answer = heapq.heappop(events)
                if self.now > until:
                    return
                if answer is None:
                    self._advance(call, None)
                else:
                    self._answered(call, answer)

    def _begin(self, arrival: Arrival) -> None:
        self._calls += 1
        call = _Call(self._calls, arrival)
        body = {
            "model": arrival.model,
            "max_tokens": arrival.max_tokens,
            "prompt_tokens": arrival.prompt_tokens,
            "output_tokens": arrival.output_tokens,
        }
        request = Request(body)
        if self.stack:
            call.flows.append(self.stack[0].flow(request))
            self._advance(call, None)
        else:
            self._attempt(call, request)

    def _advance(self, call: _Call, value: Any) -> None:
        """Run a call's flows until they wait for something, or the call has ended."""
        flows, stack = call.flows, self.stack
        while flows:
            try:
                effect = flows[-1].send(value)
            except StopIteration as stop:
                flows.pop()
                value = stop.value
                continue
            if type(effect) is Now:
                value = self.now
            elif type(effect) is Send:
                if len(flows) == len(stack):
                    self._attempt(call, effect.request)
                    return
                flows.append(stack[len(flows)].flow(effect.request))
                value = None
            elif type(effect) is Sleep:
                self._order += 1
                heapq.heappush(self._events, (self.now + effect.seconds, self._order, call, None))
                return
            elif type(effect) is Note:
                self.sink.note(call.number, self.now, effect)
                value = None
        self._end(call, value)

    def _attempt(self, call: _Call, request: Request) -> None:
        call.attempts += 1
        call.sent_at = now = self.now
        body = request.body
        name = body["model"]
        asked = self._models.get(name) or self._models.setdefault(name, model(name))
        ask = Ask(asked, body["prompt_tokens"], body["max_tokens"], body["output_tokens"])
        patience = DEFAULT_TIMEOUT_S if request.timeout is None else request.timeout
        if request.deadline is not None:
            patience = min(patience, request.deadline - now)
        fault = self.engine.strike(now, model_name=name, path=request.path)
        answer = fate(self.engine.decide(ask, now, fault), patience)
        self._order += 1
        heapq.heappush(self._events, (now + answer.seconds, self._order, call, answer))

    def _answered(self, call: _Call, answer: Fate) -> None:
        outcome = answer.outcome
        row = AttemptRow(
            call.number,
            call.attempts,
            call.sent_at,
            self.now,
            outcome.status or 0,
            outcome.reason,
            answer.input_tokens,
            answer.output_tokens,
        )
        self.sink.attempt(row)
        self._advance(call, outcome)

    def _end(self, call: _Call, outcome: Outcome) -> None:
        number, arrival, reason = call.number, call.arrival, outcome.reason
        row = CallRow(number, arrival.kind, arrival.at, self.now, outcome.ok, reason, call.attempts)
        self.sink.call(row)

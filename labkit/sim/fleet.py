"""A fleet: many calls through the very layers a program ships, as a discrete-event simulation.

Time is a heap of events.  A call is a stack of flows, outermost first, with the simulated API's
engine at the bottom.  The same seed gives the same day, in seconds.  Requests have sizes but no
words: a body holds `prompt_tokens` and `output_tokens` in place of `messages`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from math import inf
from typing import Any, Protocol

from labkit.catalog import Model, model
from labkit.errors import DeadlineExceeded, UserError
from labkit.flow import Effect, Flow, Note, Now, Outcome, Request, Send, Sleep
from labkit.sim.engine import Ask, Engine
from labkit.sim.fates import Fate, fate
from labkit.sim.traffic import Arrival

__all__ = ["Call", "Fleet", "Layered", "Sink"]

DEFAULT_TIMEOUT_S = 600.0
"""The SDK's (claude-api.md 9.1)."""
ROUNDING = 1e-9
"""Seconds; what ends so close to the deadline ends at it."""


class Layered(Protocol):
    """Anything with a flow: the layers of `labkit.layers`."""

    def flow(self, request: Request) -> Flow:
        """Return the pattern as a generator."""
        ...


class Call:
    """A call under way: its flows, outermost first, and how many attempts it has made.

    `model` and `sent_at` are those of the latest attempt.
    """

    __slots__ = ("arrival", "attempts", "flows", "model", "number", "sent_at")
    model: str
    sent_at: float

    def __init__(self, number: int, arrival: Arrival, outermost: Flow) -> None:
        self.number = number
        self.arrival = arrival
        self.flows = [outermost]
        self.attempts = 0


class Sink(Protocol):
    """Where it goes what comes of calls: see `labkit.sim.rows`."""

    def call(self, call: Call, now: float, outcome: Outcome) -> None:
        """Take a call that ends now."""
        ...

    def attempt(self, call: Call, now: float, answer: Fate) -> None:
        """Take an attempt of a call that ends now."""
        ...

    def note(self, call: Call, now: float, note: Note) -> None:
        """Take what a layer notes now."""
        ...


class Fleet:
    """Runs traffic through a stack of layers against an engine, row by row into a sink."""

    def __init__(self, stack: Sequence[Layered], engine: Engine, sink: Sink) -> None:
        self.engine = engine
        self.sink = sink
        self.now = 0.0
        self._layers: list[Callable[[Request], Flow]] = [layer.flow for layer in stack] or [_plain]
        self._events: list[tuple[float, int, Call, Fate | None]] = []
        self._calls = 0
        self._models: dict[str, Model] = {}

    def run(self, traffic: Iterable[Arrival], *, until: float = inf) -> None:
        """Play the traffic, which must come in order of time, to its end or until `until`.

        What is under way at `until` is given up: it leaves no row, and its flows are closed.
        Raises UserError for traffic whose times run backwards.
        """
        try:
            for arrival in traffic:
                at = arrival.at
                self._play(at if at < until else until)
                if at > until:
                    return
                self._begin(arrival, at)
            self._play(until)
        finally:
            self._give_up()

    def _play(self, until: float) -> None:
        """Let happen what is due until then."""
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, call, answer = heappop(events)
            if answer is None:
                self._advance(call, None)
            else:
                self.sink.attempt(call, self.now, answer)
                self._advance(call, answer.outcome)

    def _begin(self, arrival: Arrival, at: float) -> None:
        if at < self.now:
            raise UserError(f"Traffic runs backwards: {at:g} s comes after {self.now:g} s.")
        self.now = at
        self._calls += 1
        _, name, prompt, output, most, _, _ = arrival
        body = {"model": name, "max_tokens": most, "prompt_tokens": prompt, "output_tokens": output}
        self._advance(Call(self._calls, arrival, self._layers[0](Request(body))), None)

    def _advance(self, call: Call, value: Any) -> None:
        """Run a call's flows until they wait for something, or the call has ended."""
        flows, layers, now = call.flows, self._layers, self.now
        flow = flows[-1]
        while True:
            try:
                effect = flow.send(value)
            except StopIteration as end:
                value = end.value
                if type(value) is not Outcome:
                    raise TypeError(f"A flow must return an Outcome, not {value!r}.") from None
                flows.pop()
                if not flows:
                    self.sink.call(call, now, value)
                    return
                flow = flows[-1]
                continue
            if type(effect) is Now:
                value = now
            elif type(effect) is not Send:
                if self._waits(call, now, effect):
                    return
                value = None
            elif effect.request.deadline is not None and now >= effect.request.deadline:
                value = _too_late()
            elif len(flows) == len(layers):
                self._attempt(call, now, effect.request)
                return
            else:
                flow = layers[len(flows)](effect.request)
                flows.append(flow)
                value = None

    def _waits(self, call: Call, now: float, effect: Effect) -> bool:
        """Carry out what is neither `Send` nor `Now`, and say whether the call has to wait."""
        if type(effect) is Sleep:
            heappush(self._events, (now + max(0.0, effect.seconds), call.number, call, None))
            return True
        if type(effect) is Note:
            self.sink.note(call, now, effect)
            return False
        raise TypeError(f"A flow yielded {effect!r}, not an effect.")

    def _attempt(self, call: Call, now: float, request: Request) -> None:
        body, deadline = request.body, request.deadline
        call.attempts += 1
        call.sent_at = now
        call.model = name = body["model"]
        asked = self._models.get(name) or self._models.setdefault(name, model(name))
        patience = DEFAULT_TIMEOUT_S if request.timeout is None else request.timeout
        if deadline is not None:
            patience = min(patience, deadline - now)
        fault = self.engine.strike(now, model_name=name, path=request.path)
        prefix = call.arrival.prefix if name == call.arrival.model else None  # caches are a model's
        ask = Ask(asked, body["prompt_tokens"], body["max_tokens"], body["output_tokens"], prefix)
        answer = fate(self.engine.decide(ask, now, fault), patience)
        ends = now + answer.seconds
        if deadline is not None and ends > deadline - ROUNDING:
            ends = deadline
        # A call waits for one thing at a time, so its number tells simultaneous events apart.
        heappush(self._events, (ends, call.number, call, answer))

    def _give_up(self) -> None:
        """Close what is still under way, innermost first, so that it gives back what it took."""
        for _, _, call, _ in sorted(self._events, key=lambda event: event[:2]):
            for flow in reversed(call.flows):
                flow.close()
        self._events.clear()


def _plain(request: Request) -> Flow:
    """Stand in for an empty stack."""
    outcome: Outcome = yield Send(request)
    return outcome


def _too_late() -> Outcome:
    return Outcome(error=DeadlineExceeded("The deadline passed before there was an answer."))

"""A fleet: many calls through the very layers a program ships, as a discrete-event simulation.

Time is a heap of events.  A call is a stack of flows, outermost first, with the simulated API's
engine at the bottom.  The same seed gives the same day, in seconds.  Requests have sizes but no
words: a body holds `prompt_tokens` and `output_tokens` in place of `messages`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from math import inf
from typing import Any

from labkit.catalog import Model, model
from labkit.errors import DeadlineExceeded, Deadlock, UserError
from labkit.flow import Effect, Flow, Note, Now, Outcome, Request, Send, Sleep, Start, Wait
from labkit.sim.branches import Event, Grove, Waiting
from labkit.sim.engine import Ask, Engine
from labkit.sim.error_answers import ERROR_LATENCY_S
from labkit.sim.fates import Fate, fate, patience_of
from labkit.sim.faults import Fault
from labkit.sim.traffic import Arrival
from labkit.sim.under_way import LATER, Call, Layered, Sink, at_once

__all__ = ["Call", "Fleet", "Layered", "Sink"]

ROUNDING = 1e-9
"""Seconds; what ends so close to the deadline ends at it."""
YOUNG = 50_000
"""Objects between two looks of the garbage collector while a fleet runs, whose calls form no
cycles: the usual few hundred take a tenth of the time."""
TOO_LONG = Outcome(400, {"x-should-retry": "false"}, "invalid_request_error")


class Fleet:
    """Runs traffic through a stack of layers against an engine, row by row into a sink."""

    def __init__(self, stack: Sequence[Layered], engine: Engine, sink: Sink) -> None:
        self.engine, self.sink = engine, sink
        self.now, self._calls = 0.0, 0
        flows: list[Callable[[Request], Flow]] = [layer.flow for layer in stack] or [_plain]
        self._outermost, self._layers = flows[0], [*flows, None]  # behind the last is the API
        self.events: list[Event] = []
        self._grove = Grove(self)
        self._models: dict[str, Model] = {}

    def run(self, traffic: Iterable[Arrival], *, until: float = inf) -> None:
        """Play the traffic, which must come in order of time, to its end or until `until`.

        What is under way at `until` is given up: it leaves no row, and its flows are closed.
        Raises UserError for traffic whose times run backwards, and Deadlock if calls wait in the
        end for what nobody will do.
        """
        thresholds = gc.get_threshold()
        gc.set_threshold(YOUNG, *thresholds[1:])
        try:
            for arrival in traffic:
                at = arrival.at
                self._play(at if at < until else until)
                if at > until:
                    return
                self._begin(arrival, at)
            self._play(until)
            if until == inf and self._grove.waiting:
                waiting = len(self._grove.waiting)
                raise Deadlock(f"All is over, and {waiting} calls still wait for a gate to open.")
        finally:
            gc.set_threshold(*thresholds)
            self._give_up()

    def _play(self, until: float) -> None:
        """Let happen what is due until then."""
        events = self.events
        while events and events[0][0] <= until:
            self.now, _, call, answer = heappop(events)
            if answer is None:
                self.advance(call, None)
            elif type(answer) is Fate:
                self.sink.attempt(call, self.now, answer)
                self.advance(call, answer.outcome)
            elif type(answer) is Waiting and answer.end():
                self.advance(call, answer.gate.is_open)

    def _begin(self, arrival: Arrival, at: float) -> None:
        if not self.now <= at < inf:
            raise UserError(f"Traffic runs backwards: {at:g} s comes after {self.now:g} s.")
        self.now = at
        self._calls += 1
        name, prompt = arrival.model, arrival.prompt_tokens
        output, most = arrival.output_tokens, arrival.max_tokens
        if prompt < 0 or most < 0 or (output is not None and output < 0):
            raise UserError(f"No call has less than 0 tokens, but there is {arrival!r}.")
        body = {"model": name, "max_tokens": most, "prompt_tokens": prompt, "output_tokens": output}
        self.advance(Call(self._calls, arrival, [self._outermost(Request(body))]), None)

    def advance(self, call: Call, value: Any) -> None:
        """Run a call's flows until they wait for something, or the call has ended."""
        flows, layers, now = call.flows, self._layers, self.now
        send = flows[-1].send
        while True:
            try:
                effect = send(value)
            except StopIteration as end:
                value = end.value
                if type(value) is not Outcome:
                    raise TypeError(f"A flow must return an Outcome, not {value!r}.") from None
                del flows[-1]
                if not flows:
                    self.sink.call(call, now, value)
                    return
                send = flows[-1].send
                continue
            kind = type(effect)
            if kind is Now:
                value = now
            elif kind is Send:
                request = effect.request
                if request.deadline is not None and now >= request.deadline:
                    value = _too_late()
                elif (layer := layers[len(flows)]) is None:
                    self._attempt(call, now, request)
                    return
                else:
                    flow = layer(request)
                    flows.append(flow)
                    send, value = flow.send, None
            else:
                value = self._carry_out(call, now, effect)
                if value is LATER:
                    return
                send = flows[-1].send

    def _carry_out(self, call: Call, now: float, effect: Effect | object) -> Any:
        """Carry out what is neither `Send` nor `Now`, and return what the flow is sent for it."""
        if type(effect) is Sleep:
            heappush(self.events, (now + max(0.0, effect.seconds), call.number, call, None))
            return LATER
        if type(effect) is Note:
            self.sink.note(call, now, effect)
            return None
        if type(effect) is Wait:
            return self._grove.wait(call, effect)
        if type(effect) is Start:
            return self._grove.start(call, effect)
        return at_once(effect)

    def _attempt(self, call: Call, now: float, request: Request) -> None:
        body, deadline = request.body, request.deadline
        call.attempts, call.sent_at = call.next_attempt(), now
        call.model = name = body["model"]
        asked = self._models.get(name) or self._models.setdefault(name, model(name))
        patience = patience_of(request, now)
        fault = self.engine.strike(now, model_name=name, path=request.path)
        prefix = call.arrival.prefix if name == call.arrival.model else None  # caches are a model's
        ask = Ask(asked, body["prompt_tokens"], body["max_tokens"], body["output_tokens"], prefix)
        window = asked.context_window
        if window is not None and ask.prompt_tokens > window and self._is_too_long(ask, now, fault):
            answer = Fate(ERROR_LATENCY_S, TOO_LONG, 0, 0)
        else:
            answer = fate(self.engine.decide(ask, now, fault), patience)
        ends = now + answer.seconds
        if deadline is not None and ends > deadline - ROUNDING:
            ends = deadline
        # A call waits for one thing at a time, so its number tells simultaneous events apart;
        # its branches have turns.
        heappush(self.events, (ends, call.number, call, answer))

    def _is_too_long(self, ask: Ask, now: float, fault: Fault | None) -> bool:
        """Whether a prompt beyond the window is judged as one: a limit or a fault comes first."""
        limiter = self.engine.limiter(ask.model.id, now)
        within = limiter is None or limiter.beyond(ask.prompt_tokens) is None
        return within and (fault is None or fault.is_served)

    def attempted(self, call: Call, answer: Fate) -> None:
        """Take an attempt that was cancelled now."""
        self.sink.attempt(call, self.now, answer)

    def _give_up(self) -> None:
        """Close what is still under way, innermost first, so that it gives back what it took."""
        in_turn = sorted(self.events, key=lambda event: event[:2])
        under_way = dict.fromkeys([event[2] for event in in_turn] + list(self._grove.waiting))
        self.events.clear()
        for call in under_way:
            for flow in reversed(call.flows):
                flow.close()
        self.events.clear()  # what was given back may have woken somebody
        self._grove.waiting.clear()


def _plain(request: Request) -> Flow:
    """Stand in for an empty stack."""
    outcome: Outcome = yield Send(request)
    return outcome


def _too_late() -> Outcome:
    return Outcome(error=DeadlineExceeded("The deadline passed before there was an answer."))

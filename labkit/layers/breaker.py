"""A circuit breaker: stop asking a service that is failing, and find out gently when it is back.

Place it inside of `Retry`: every attempt is counted, and a refusal is not retried.  Outside,
it would see one long call where there were four failures (resilience.md 2.2, check 9).

A stream counts as good at its first content, and as failed if it breaks later while somebody
reads it; the circuit learns that with the next call.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from weakref import ref

from labkit.drivers import Layer
from labkit.errors import CircuitOpen
from labkit.flow import Flow, Note, Now, Outcome, Request, Send
from labkit.layers.circuit import Circuit, Permit

__all__ = ["Breaker", "verdict"]


def verdict(outcome: Outcome) -> bool | None:
    """Say whether an outcome is a failure of the service; None says nothing either way.

    Failures: no connection, a timeout, 408, 5xx, 529, an error inside a stream.  A 429 is our
    own limit and concerns the throttle; a refusal of ours was never sent.  Any other 4xx is an
    answer: the service works, the request was wrong.
    """
    if outcome.ok:
        return False
    if outcome.unreachable:
        return True
    if outcome.status is None or outcome.status == 429:
        return None
    return outcome.status < 300 or outcome.status == 408 or outcome.status >= 500


class Breaker(Layer):
    """Refuses calls with `CircuitOpen` while the service behind them is failing.

    There is one circuit for each model and speed, since they fail apart; `circuit` makes one
    (default: `Circuit()`), and `circuits` holds them for an operator's eyes and hands.  `seed`
    repeats the chance in the rests of the default's circuits; with `circuit` it is a ValueError,
    since its circuits bring dice of their own.
    """

    def __init__(
        self, circuit: Callable[[], Circuit] | None = None, *, seed: int | None = None
    ) -> None:
        if circuit is not None and seed is not None:
            raise ValueError(
                "A seed does nothing for circuits of your own: give each of them its dice, as in "
                f"Circuit(dice=random.Random({seed}))."
            )
        dice = random.Random(seed)
        self._make = circuit if circuit is not None else lambda: Circuit(dice=dice)
        self.circuits: dict[tuple[str, str], Circuit] = {}
        self._read_on: list[tuple[ref[Any], Any, Circuit, Permit]] = []

    def flow(self, request: Request) -> Flow:
        """Ask for a permit, send, and record what came of it."""
        circuit = self._circuit(request)
        now: float = yield Now()
        was = circuit.state
        if self._read_on:
            self._look_after_streams(now)
        permit = circuit.admit(now)
        try:
            if circuit.state is not was:
                yield Note("circuit", was=was.value, now=circuit.state.value)
            if permit is None:
                yield Note("refused", by="breaker", state=circuit.state.value)
                return _refusal(circuit, now)
            outcome: Outcome = yield Send(request)
            failed = verdict(outcome)
            if failed is None:
                return outcome
            now, was = (yield Now()), circuit.state
            circuit.record(permit, now, failed=failed)
            if request.stream and not failed:
                self._read_on_later(outcome, circuit, permit)
            permit = None
        finally:  # a call that was cut short, or says nothing, gives its permit back
            if permit is not None:
                circuit.cancel(permit)
        if circuit.state is not was:
            yield Note("circuit", was=was.value, now=circuit.state.value)
        return outcome

    def _read_on_later(self, outcome: Outcome, circuit: Circuit, permit: Permit) -> None:
        """Remember a stream, but not for longer than its reader does."""
        response = getattr(outcome.value, "http_response", None)
        watch = getattr(getattr(response, "stream", None), "watch", None)
        if watch is not None:
            self._read_on.append((ref(watch), watch.ending, circuit, permit))

    def _look_after_streams(self, now: float) -> None:
        """Tell the circuits of streams that broke, and forget those that have ended."""
        read_on, self._read_on = self._read_on, []
        for stream, ending, circuit, permit in read_on:
            watch = stream()
            if ending.broke:
                circuit.broke(permit, now)
            elif watch is not None and not watch.closed:
                self._read_on.append((stream, ending, circuit, permit))

    def _circuit(self, request: Request) -> Circuit:
        model, speed = request.body.get("model", ""), request.body.get("speed", "standard")
        try:
            return self.circuits[model, speed]
        except (KeyError, TypeError):  # the first call, or nonsense in the body
            return self.circuits.setdefault((str(model), str(speed)), self._make())


def _refusal(circuit: Circuit, now: float) -> Outcome:
    left = circuit.rest_left(now)
    soon = f"; try again in {left:.1f} s" if left else ""
    why = f"The circuit is {circuit.state.value}{soon}."
    return Outcome(error=CircuitOpen(why, retry_after=left or None))

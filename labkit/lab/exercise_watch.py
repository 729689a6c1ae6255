"""Watch a layer's flow from outside: note what it asks for, and object to what no flow may do."""

from __future__ import annotations

import inspect
import math
from collections.abc import Generator
from typing import Any

from labkit.drivers import Layer
from labkit.flow import Effect, Flow, Note, Now, Outcome, Request, Send, Sleep
from labkit.lab.exercise_verdict import Wrong

__all__ = ["Watched"]

EFFECTS = (Send, Sleep, Now, Note)
MOST_SENDS = 50
MOST_EFFECTS = 1000


class Watched:
    """While it is entered, every flow of `layer` is watched; the layer itself is not changed.

    `gaps` are the seconds slept between one request and the next, `slept_after` those after the
    last.  Raises `Wrong`, from inside the flow's driver, for what no flow may do.
    """

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._flow = layer.flow
        self._slept: list[float] = []
        self._sends = 0

    @property
    def gaps(self) -> list[float]:
        """Seconds slept between each request and the next."""
        return self._slept[1:-1]

    @property
    def slept_after(self) -> float:
        """Seconds slept after the last request."""
        return self._slept[-1] if self._sends else 0.0

    def __enter__(self) -> Watched:
        self._layer.flow = self.watch  # type: ignore[method-assign]
        return self

    def __exit__(self, *ending: object) -> None:
        del self._layer.flow

    def watch(self, request: Request) -> Flow:
        """Run one flow and note what it asks for; only one at a time may run."""
        flow = self._flow(request)
        if not isinstance(flow, Generator):
            if inspect.iscoroutine(flow):
                flow.close()
            raise Wrong(
                f"`flow` gave {_called(flow)} instead of running step by step. It becomes a flow "
                "through `yield`: `outcome = yield Send(request)`."
            )
        self._slept, self._sends = [0.0], 0
        try:
            answer: Any = None
            outcomes: list[Outcome] = []
            for _ in range(MOST_EFFECTS):
                try:
                    effect = flow.send(answer)
                except StopIteration as stop:
                    return _handed_back(stop.value, outcomes)
                answer = yield self._entered(effect)
                outcomes += [answer] if isinstance(effect, Send) else []
        finally:
            flow.close()
        raise Wrong(
            f"Your flow asked for {MOST_EFFECTS} things in one call and went on. "
            "Look for a loop that nothing ends."
        )

    def _entered(self, effect: Effect) -> Effect:
        """Note an effect and return it; raises `Wrong` if it is none, or one too many."""
        complaint = _complaint(effect)
        if complaint:
            raise Wrong(complaint)
        if isinstance(effect, Send):
            self._sends += 1
            self._slept.append(0.0)
            if self._sends > MOST_SENDS:
                raise Wrong(
                    f"Your flow never stops: {MOST_SENDS} requests were sent for one call, and "
                    "it went on. Whoever waits is never told, and a sick server never recovers."
                )
        elif isinstance(effect, Sleep):
            self._slept[-1] += effect.seconds
        return effect


def _handed_back(value: object, outcomes: list[Outcome]) -> Outcome:
    if not isinstance(value, Outcome):
        raise Wrong(
            f"Your flow ended with {_called(value)} instead of an outcome, so the failure was "
            "swallowed. Whoever made the call must see how it ended: `return outcome`, good or bad."
        )
    given = any(value is outcome for outcome in outcomes)
    if not given and value.error is None and value.value is None:
        raise Wrong(
            "Your flow made up an outcome with nothing in it. The caller gets an answer or the "
            "failure itself: `return` an outcome that `yield Send(request)` gave you."
        )
    return value


def _complaint(effect: object) -> str:
    """Say what is wrong with an effect, "" if nothing is."""
    if isinstance(effect, type) and issubclass(effect, EFFECTS):
        return (
            f"Your flow yielded the class `{effect.__name__}`. Call it: `{effect.__name__}(...)`."
        )
    if not isinstance(effect, EFFECTS):
        return (
            f"Your flow yielded {_called(effect)}. It may yield `Send(request)`, "
            "`Sleep(seconds)`, `Now()` and `Note(...)`."
        )
    if isinstance(effect, Send) and not isinstance(effect.request, Request):
        return f"`Send` takes the request, and your flow gave it {_called(effect.request)}."
    if isinstance(effect, Sleep) and not _is_a_wait(effect.seconds):
        return f"`Sleep` takes 0 seconds or more, and your flow gave it {_called(effect.seconds)}."
    return ""


def _is_a_wait(seconds: object) -> bool:
    return isinstance(seconds, (int, float)) and 0 <= seconds < math.inf


def _called(value: object) -> str:
    if value is None:
        return "nothing (`None`)"
    if isinstance(value, (int, float, str)):
        return f"`{value!r}`"
    name = value.__name__ if isinstance(value, type) else type(value).__name__
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} `{name}`"

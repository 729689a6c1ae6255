"""A crowd for exercises: many calls at once through the answer's layer, on virtual time.

    result = crowd(layer, arrivals, small_api(requests=600))     a fleet, as in `simulate`
    call = Call(layer, now=100.0)                                one call, step by step
    call.waited, call.sent, call.outcome
    call.leave()                                                 its caller has gone

Every flow is watched: what no flow may do is met with a `Wrong`, whatever the exercise.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from labkit.catalog import role
from labkit.drivers import Layer
from labkit.flow import Flow, Now, Outcome, Request, Send, Sleep
from labkit.lab.exercise_watch import Watched
from labkit.sim.engine import Engine
from labkit.sim.simulate import simulate
from labkit.sim.tables import Simulation
from labkit.sim.traffic import Arrival

__all__ = ["Call", "ask", "crowd", "small_api"]

PLENTY = 1e9


def small_api(
    *,
    requests: float = PLENTY,
    input_tokens: float = PLENTY,
    output_tokens: float = PLENTY,
    at_once_s: float = 60.0,
) -> Engine:
    """Return an API whose model in the role fast has these limits a minute.

    Its buckets hold what they refill in `at_once_s` seconds.
    """
    engine = Engine(seed=1)
    limiter: Any = engine.limiter(role("fast").id, 0.0)
    buckets = (limiter.requests, limiter.input, limiter.output)
    for bucket, limit in zip(buckets, (requests, input_tokens, output_tokens), strict=True):
        bucket.rate = limit / 60
        bucket.capacity = int(bucket.rate * at_once_s)
        bucket.level = float(bucket.capacity)
    return engine


class _Each(Layer):
    """Watches every flow of a layer apart from the others."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    def flow(self, request: Request) -> Flow:
        return Watched(self.layer).watch(request)


def crowd(layer: Layer, arrivals: Iterable[Arrival], api: Engine) -> Simulation:
    """Play traffic through the layer and return what came of it."""
    return simulate(arrivals, stack=[_Each(layer)], api=api)


class Call:
    """One call that begins at `now` (seconds) and is played up to its first `Send` or its end.

    With `wait` False it stops at its first `Sleep` instead, so that others can come.  `waited` is
    the seconds that it slept, `sent` whether it got as far as its `Send`; `outcome` is what it
    returned, if it has ended.
    """

    def __init__(
        self, layer: Layer, *, now: float, request: Request | None = None, wait: bool = True
    ) -> None:
        self.now = now
        self.waited = 0.0
        self.sent = False
        self.outcome: Outcome | None = None
        self._flow = Watched(layer).watch(request if request is not None else ask())
        self._play(None, wait=wait)

    def answer(self, outcome: Outcome) -> None:
        """Give the attempt its outcome and play the call to its end."""
        self._play(outcome, wait=True)

    def leave(self) -> None:
        """End the call as a caller does who goes."""
        self._flow.close()

    def _play(self, answer: object, *, wait: bool) -> None:
        self.sent = False
        try:
            while True:
                effect = self._flow.send(answer)
                answer = self.now if isinstance(effect, Now) else None
                if isinstance(effect, Send):
                    self.sent = True
                    return
                if isinstance(effect, Sleep) and effect.seconds > 0:
                    if not wait:
                        return
                    self.waited += effect.seconds
                    self.now += effect.seconds
        except StopIteration as end:
            self.outcome = end.value


def ask(tokens: int = 100) -> Request:
    """Return a request of so many tokens, with a size instead of words."""
    return Request({"model": role("fast").id, "max_tokens": 4096, "prompt_tokens": tokens})

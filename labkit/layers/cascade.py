"""A cascade: ask the cheap model, have its answer judged, and ask a stronger one if need be.

    Cascade("claude-haiku-5-5", "claude-opus-5-5", verify=confidence_said, at_least=0.8)

The cheap call is always paid, and an escalated question waits twice.  Whether that saves anything
depends on the verifier: choose `at_least` on a calibration set (`labkit.routing.cascades`), and
watch the scores, which are noted, for drift (`labkit.routing.drift`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from labkit.drivers import Layer
from labkit.flow import Flow, Note, Outcome, Request, Send
from labkit.layers.route import body_for

__all__ = ["Cascade", "Verify"]

Verify: TypeAlias = Callable[[Request, Mapping[str, Any]], float]
"""Scores an answer, the body of a Message (of a simulated fleet: empty): more is better."""
UNFINISHED = ("refusal", "max_tokens", "pause_turn", "model_context_window_exceeded")
"""How answers stop that are no whole answer, so that nobody has to judge them."""


class Cascade(Layer):
    """Asks `models` in order, cheapest first, until an answer's score is at least `at_least`.

    `at_least` is one number, or one for every model but the last, whose answer always counts.
    What the verifier raises goes straight up, and it must be quick: all layers wait for it.
    Answers that stop before their end go on to the next model.  A failure is handed on: trying
    again, or something else, is for `Retry` inside and `Fallback` outside.

    A stream can not be judged before it has been shown, so streams ask the last model at once.
    Place it where a `Route` would stand, outside of `Fallback` and `Trim`.  Raises ValueError for
    fewer than two models, or another number of thresholds.
    """

    def __init__(
        self, *models: str, verify: Verify, at_least: float | Sequence[float] = 0.5
    ) -> None:
        steps = len(models) - 1
        single = isinstance(at_least, int | float)
        self.thresholds = [float(at_least)] * steps if single else list(at_least)  # type: ignore[arg-type]
        if steps < 1 or len(self.thresholds) != steps:
            raise ValueError("A cascade has two models or more, and a threshold for all but one.")
        self.models, self.verify = models, verify

    def flow(self, request: Request) -> Flow:
        """Ask, judge and go on, until an answer is good enough."""
        if request.model is None or not request.path.partition("?")[0].endswith("/v1/messages"):
            passed: Outcome = yield Send(request)
            return passed
        thresholds = () if request.stream else self.thresholds
        for model, least in zip(self.models, thresholds, strict=False):
            outcome: Outcome = yield Send(_to(model, request))
            if not outcome.ok:
                return outcome
            score = self._score(request, outcome)
            accepted = score is not None and score >= least
            told = {} if score is None else {"score": score}
            yield Note("judged", model=model, accepted=accepted, **told)
            if accepted:
                return outcome
        last: Outcome = yield Send(_to(self.models[-1], request))
        return last

    def _score(self, request: Request, outcome: Outcome) -> float | None:
        """Return the verifier's score, None for an answer that is not whole."""
        message = _message(outcome)
        if message.get("stop_reason") in UNFINISHED:
            return None
        return self.verify(request, message)


def _to(model: str, request: Request) -> Request:
    return request.replace(body=body_for(request.body, model))


def _message(outcome: Outcome) -> Mapping[str, Any]:
    """Read the Message of an answer that came in one piece, or that a layer had ready."""
    response = getattr(outcome.value, "http_response", None)
    if response is None:
        dump = getattr(outcome.value, "model_dump", None)
        body: object = {} if dump is None else dump(mode="json")
    else:
        body = json.loads(response.content)
    return body if isinstance(body, Mapping) else {}

"""Route: a simple question goes to a small model, before anything is sent.

    Route(
        Rule("claude-haiku-5-5", when=shorter_than(2_000), name="short"),
        Rule("claude-opus-5-5", when=lambda request: "tools" in request.body, effort="high"),
    )

A model's prompt cache and its thinking blocks are its own, so a conversation must not change
models on its way.  Rules therefore see only how it opens: system, tools and the first message,
which are the same in every turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from labkit.drivers import Layer
from labkit.flow import Flow, Note, Outcome, Request, Send
from labkit.layers.estimate import prompt_tokens

__all__ = ["Route", "Rule", "body_for", "shorter_than"]


@dataclass(frozen=True)
class Rule:
    """Requests for which `when` says yes go to `model`, at `effort` if one is named."""

    model: str
    when: Callable[[Request], bool] = lambda _: True
    effort: str | None = None
    name: str = ""


class Route(Layer):
    """Sends a request to the model of the first rule that applies; without one it stays as it is.

    Place it outside of `Fallback` and `Trim`: inside of them it would route a rung's other model
    back again, and limits are a model's own.  Raises ValueError without rules.
    """

    def __init__(self, *rules: Rule) -> None:
        if not rules:
            raise ValueError("A route has at least one rule.")
        self.rules = rules

    def flow(self, request: Request) -> Flow:
        """Find the rule, note it, and send the request its way."""
        rule = self._rule(request) if request.model is not None else None
        if rule is not None:
            yield Note("route", to=rule.model, rule=rule.name or rule.model)
            request = request.replace(body=body_for(request.body, rule.model, rule.effort))
        outcome: Outcome = yield Send(request)
        return outcome

    def _rule(self, request: Request) -> Rule | None:
        opening = request.replace(body=_opening(request.body))
        return next((rule for rule in self.rules if rule.when(opening)), None)


def shorter_than(tokens: int) -> Callable[[Request], bool]:
    """Apply to conversations that open with an estimated prompt below so many tokens."""
    return lambda request: prompt_tokens(request) < tokens


def body_for(body: Mapping[str, Any], model: str, effort: str | None = None) -> Mapping[str, Any]:
    """Return a request body for another model; an effort is set beside other output settings."""
    if effort is None:
        return {**body, "model": model}
    settings = body.get("output_config") or {}
    return {**body, "model": model, "output_config": {**settings, "effort": effort}}


def _opening(body: Mapping[str, Any]) -> Mapping[str, Any]:
    messages = body.get("messages")
    return {**body, "messages": messages[:1]} if isinstance(messages, list) else body

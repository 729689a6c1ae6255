"""Write on the call's span what the SDK's own spans leave out and the price depends on.

The SDK's spans carry the model and every kind of token, but neither the speed nor where the
inference ran, nor whether tools were offered that are billed apart from the tokens.  List this
layer last (innermost); the laboratory's clients have it built in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from labkit.drivers import Layer
from labkit.flow import Flow, Note, Outcome, Request, Send

__all__ = ["Annotate"]


BILLED_APART = ("advisor", "web_search")
"""How the types of such tools begin: one asks another model, the other has a fee."""


class Annotate(Layer):
    """Note speed, place of inference and tools billed apart, where a request sets them."""

    def flow(self, request: Request) -> Flow:
        """Note what matters to the price, then send."""
        chosen = {
            name: str(request.body[name])
            for name in ("speed", "inference_geo")
            if name in request.body
        }
        apart = ", ".join(sorted(set(_billed_apart(request.body))))
        if apart:
            chosen["billed_apart"] = apart
        if chosen:
            yield Note("request", **chosen)
        outcome: Outcome = yield Send(request)
        return outcome


def _billed_apart(body: Mapping[str, Any]) -> Iterator[str]:
    if "fallbacks" in body:
        yield "fallbacks"
    for tool in body.get("tools") or ():
        kind = str(tool.get("type", "")) if isinstance(tool, Mapping) else ""
        if kind.startswith(BILLED_APART):
            yield kind

"""Write on the call's span what the SDK's own spans leave out and the price depends on.

The SDK's spans carry the model and every kind of token, but neither the speed nor where the
inference ran.  List this layer last (innermost); the laboratory's clients have it built in.
"""

from __future__ import annotations

from labkit.drivers import Layer
from labkit.flow import Flow, Note, Outcome, Request, Send

__all__ = ["Annotate"]


class Annotate(Layer):
    """Note `speed` and `inference_geo` of a request where it sets them; change nothing."""

    def flow(self, request: Request) -> Flow:
        """Note what matters to the price, then send."""
        chosen = {
            name: str(request.body[name])
            for name in ("speed", "inference_geo")
            if name in request.body
        }
        if chosen:
            yield Note("request", **chosen)
        outcome: Outcome = yield Send(request)
        return outcome

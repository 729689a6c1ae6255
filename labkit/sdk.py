"""The way in: the SDK's request as a layer sees it, and what a layer changed in it for the SDK.

Here and in `labkit.sdk_outcome`, the way back, is everything that knows how the `anthropic`
package and `httpx2` spell things, so that the drivers stay short and the flows know neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from anthropic import APIRequest

from labkit.clock import Clock
from labkit.flow import Outcome, Request
from labkit.timeouts import MOMENT, shortened, within

__all__ = ["Hop", "request_for", "request_of"]


@dataclass(slots=True)
class Hop:
    """What passes between a layer and the next one further in: the request, then the outcome.

    Between two layers of ours nothing is translated: the inner one finds the request here, and
    leaves the outcome.  Only where the SDK or somebody else's middleware stands is it read anew.
    `made_s` is when the SDK's timeouts were cut to the deadline, on the layers' clock.
    """

    api_request: APIRequest
    request: Request
    made_s: float = float("-inf")
    outcome: Outcome | None = None

    def serves(self, request: Request, clock: Clock) -> bool:
        """Say whether this hop may go one layer further: nothing changed and no time passed."""
        if request is not self.request:
            return False
        return request.deadline is None or clock.now() <= self.made_s + MOMENT

    def brings(self, end: object) -> Outcome | None:
        """Return the outcome behind the response or exception `end`, None if `end` is news."""
        outcome = self.outcome
        if outcome is None:
            return None
        expected = outcome.value if outcome.error is None else outcome.error
        return outcome if end is expected else None


def request_of(api_request: APIRequest, hop: Hop | None) -> Request:
    """Return the layer's view of an SDK request; the body is shared, not copied.

    `hop` leads to the next layer further out, whose deadline goes on in any case.
    """
    if hop is not None and hop.api_request is api_request:
        return hop.request
    options = api_request.options
    body = options.json_data
    return Request(
        body=body if isinstance(body, Mapping) else {},
        path=options.url,
        method=options.method.upper(),
        stream=api_request.stream,
        deadline=None if hop is None else hop.request.deadline,
        headers=api_request.headers,
        sdk_retries=api_request.retries_taken,
    )


def request_for(
    api_request: APIRequest, asked: Request, request: Request, limit: float | None
) -> APIRequest:
    """Return the SDK request that carries what the flow changed in `request`.

    The SDK's own timeouts are shortened to `limit` seconds, and those of connecting to what the
    request allows for that.  A request that needs no change is passed on as it is; the SDK's
    `copy` would copy the whole conversation.
    """
    connect = None if request.timeout is None else request.timeout.connect
    limits = (inf if limit is None else limit, inf if connect is None else connect)
    in_time = limits == (inf, inf) or within(api_request.timeout, *limits)
    if in_time and request.body is asked.body:
        return api_request
    options = api_request.options.model_copy()
    if request.body is not asked.body:
        options.json_data = dict(request.body)
    if not in_time:
        options.timeout = shortened(options.timeout, *limits)
    return APIRequest(
        options=options,
        cast_to=api_request.cast_to,
        stream=api_request.stream,
        stream_cls=api_request.stream_cls,
        retries_taken=api_request.retries_taken,
    )

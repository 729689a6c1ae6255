"""The border between the SDK's requests and responses and labkit's `Request` and `Outcome`.

Everything that knows how the `anthropic` package and `httpx2` spell things is here, so that
the drivers stay short and the flows know neither.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, cast

import anthropic
import httpx2
from anthropic import APIRequest

from labkit.clock import Clock
from labkit.errors import BenchError, DeadlineExceeded, LabkitError, Refused
from labkit.flow import Outcome, Request
from labkit.streams import Verdict, peek, peek_async, verdict_of

__all__ = [
    "CAUGHT",
    "close",
    "close_async",
    "deliver",
    "failure",
    "outcome_of",
    "outcome_of_async",
    "request_for",
    "request_of",
]

CAUGHT = (anthropic.APIError, httpx2.TransportError, Refused, DeadlineExceeded)
"""What a driver turns into an outcome.  A `BenchError` is not here: it goes straight up."""


def request_of(api_request: APIRequest, deadline: float | None) -> Request:
    """Return the layer's view of an SDK request; the body is shared, not copied."""
    body = api_request.json
    return Request(
        body=cast("Mapping[str, Any]", body) if isinstance(body, Mapping) else {},
        path=api_request.url,
        method=api_request.method.upper(),
        stream=api_request.stream,
        deadline=deadline,
        sdk_retries=api_request.retries_taken,
    )


def request_for(
    api_request: APIRequest, asked: Request, request: Request, clock: Clock
) -> APIRequest:
    """Return the SDK request that carries what the flow changed in `request`.

    The SDK's own timeout is shortened to what is left of the deadline.  A request that nobody
    changed is passed on as it is; the SDK's `copy` would copy the whole conversation.
    """
    limits = [request.timeout] if request.timeout is not None else []
    if request.deadline is not None:
        limits.append(max(0.001, request.deadline - clock.now()))
    new_body = request.body is not asked.body
    if not limits and not new_body:
        return api_request
    options = api_request.options.model_copy()
    if new_body:
        options.json_data = dict(request.body)
    if limits:
        options.timeout = _shortened(options.timeout, min(limits))
    return APIRequest(
        options=options,
        cast_to=api_request.cast_to,
        stream=api_request.stream,
        stream_cls=api_request.stream_cls,
        retries_taken=api_request.retries_taken,
    )


def _shortened(timeout: object, limit: float) -> httpx2.Timeout:
    if isinstance(timeout, (int, float)):
        limit = min(limit, float(timeout))
    fields = {"connect": 5.0, "read": limit, "write": limit, "pool": limit}
    if isinstance(timeout, httpx2.Timeout):
        fields = {name: getattr(timeout, name) for name in fields}
    return httpx2.Timeout(
        **{name: limit if value is None else min(value, limit) for name, value in fields.items()}
    )


def _http(response: object) -> httpx2.Response | None:
    http_response = getattr(response, "http_response", None)
    return http_response if isinstance(http_response, httpx2.Response) else None


def outcome_of(response: object, api_request: APIRequest) -> Outcome:
    """Return what `call_next` gave back as an outcome; a stream is judged by its start."""
    http_response = _http(response)
    if http_response is None:  # a layer further in answered with a ready value
        return Outcome(status=200, value=response)
    if not http_response.is_success:
        http_response.read()
        return _refusal(http_response, response)
    if api_request.stream:
        return _judged(http_response, response, verdict_of(http_response) or peek(http_response))
    return Outcome(status=http_response.status_code, headers=http_response.headers, value=response)


async def outcome_of_async(response: object, api_request: APIRequest) -> Outcome:
    """Do what `outcome_of` does for the async client."""
    http_response = _http(response)
    if http_response is None:
        return Outcome(status=200, value=response)
    if not http_response.is_success:
        await http_response.aread()
        return _refusal(http_response, response)
    if api_request.stream:
        verdict = verdict_of(http_response) or await peek_async(http_response)
        return _judged(http_response, response, verdict)
    return Outcome(status=http_response.status_code, headers=http_response.headers, value=response)


def _refusal(http_response: httpx2.Response, value: object) -> Outcome:
    error: Any = None
    with contextlib.suppress(ValueError):
        body = http_response.json()
        error = body.get("error") if isinstance(body, dict) else None
    error = error if isinstance(error, dict) else {}
    details = error.get("details")
    return Outcome(
        status=http_response.status_code,
        headers=http_response.headers,
        error_type=error.get("type") or "error",
        error_code=details.get("error_code") if isinstance(details, dict) else None,
        value=value,
    )


def _judged(http_response: httpx2.Response, value: object, verdict: Verdict) -> Outcome:
    return Outcome(
        status=http_response.status_code,
        headers=http_response.headers,
        error_type="truncated" if verdict.truncated else verdict.error_type,
        error_code=verdict.error_code,
        unreachable=verdict.truncated,
        value=value,
    )


def failure(error: Exception) -> Outcome:
    """Return an exception as an outcome; a bench error hidden inside the SDK's is raised instead.

    The SDK wraps whatever a transport raises in `APIConnectionError`.  A cassette miss must
    not pass for a network fault, so it is taken out of its wrapping here.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BenchError):
            raise cause from None
        if isinstance(cause, LabkitError):
            return Outcome(error=cause)
        cause = cause.__cause__
    if isinstance(error, anthropic.APIStatusError):
        return Outcome(
            status=error.status_code,
            headers=error.response.headers,
            error_type=error.type or "error",
            error_code=error.error_code,
            error=error,
        )
    if isinstance(error, httpx2.TransportError):  # the start of a stream broke while we peeked
        timed_out = isinstance(error, httpx2.TimeoutException)
        kind = anthropic.APITimeoutError if timed_out else anthropic.APIConnectionError
        wrapped = kind(request=error.request)
        wrapped.__cause__ = error
        return Outcome(error=wrapped, unreachable=True)
    return Outcome(error=error, unreachable=isinstance(error, anthropic.APIConnectionError))


def deliver(outcome: Outcome) -> Any:
    """Hand the final outcome back to the SDK: raise its error or return its value."""
    if outcome.error is not None:
        raise outcome.error
    return outcome.value


def close(outcome: Outcome) -> None:
    """Give the connection of an outcome nobody will read back to the pool."""
    http_response = _http(outcome.value)
    if http_response is not None and not http_response.is_closed:
        http_response.close()


async def close_async(outcome: Outcome) -> None:
    """Do what `close` does for the async client."""
    http_response = _http(outcome.value)
    if http_response is not None and not http_response.is_closed:
        await http_response.aclose()

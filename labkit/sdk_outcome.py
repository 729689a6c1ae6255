"""The way back: what the SDK gave a layer as an `Outcome`, and an outcome handed on to the SDK.

An HTTP error comes as a response, a lost connection as an exception, an overload in mid-stream
as an event inside a 200, and a mistake of the bench wrapped up as a lost connection.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import anthropic
import httpx2
from anthropic import APIRequest

from labkit.clock import Clock
from labkit.errors import BenchError, DeadlineExceeded, LabkitError, Refused
from labkit.flow import Outcome
from labkit.limits import check_wait
from labkit.metering import meter_of
from labkit.sdk import Hop
from labkit.streams import peek, peek_async, verdict_of
from labkit.verdict import Verdict, error_in

__all__ = [
    "CAUGHT",
    "close",
    "close_async",
    "deliver",
    "failure",
    "http_of",
    "outcome_of",
    "outcome_of_async",
    "replaced",
]

CAUGHT = (anthropic.APIError, httpx2.TransportError, Refused, DeadlineExceeded)
"""What a driver turns into an outcome.  A `BenchError` is not here: it goes straight up."""


def http_of(response: object) -> httpx2.Response | None:
    """Return the HTTP response inside of one of the SDK's, None where there is none."""
    http_response = getattr(response, "http_response", None)
    return http_response if isinstance(http_response, httpx2.Response) else None


def outcome_of(response: object, hop: Hop, clock: Clock) -> Outcome:
    """Return what `call_next` gave back as an outcome; a stream is judged by its start.

    Raises `httpx2.ReadTimeout` when there is no time left to wait for that start.
    """
    http_response = http_of(response)
    if http_response is None:  # a layer further in answered with a ready value
        return Outcome(status=200, value=response)
    status = http_response.status_code
    if not 200 <= status < 300:
        http_response.read()
        return _refusal(http_response, response)
    if _is_answer_stream(hop.api_request):
        still_time = partial(check_wait, hop.request, clock)
        verdict = verdict_of(http_response) or peek(http_response, still_time)
        return _judged(http_response, response, verdict)
    return _answer(http_response, response)


async def outcome_of_async(response: object, hop: Hop, clock: Clock) -> Outcome:
    """Do what `outcome_of` does for the async client."""
    http_response = http_of(response)
    if http_response is None:
        return Outcome(status=200, value=response)
    status = http_response.status_code
    if not 200 <= status < 300:
        await http_response.aread()
        return _refusal(http_response, response)
    if _is_answer_stream(hop.api_request):
        still_time = partial(check_wait, hop.request, clock)
        verdict = verdict_of(http_response) or await peek_async(http_response, still_time)
        return _judged(http_response, response, verdict)
    return _answer(http_response, response)


def _is_answer_stream(api_request: APIRequest) -> bool:
    """Say whether this is a streamed Message: a batch's results and others come as streams too."""
    return api_request.stream and api_request.url.partition("?")[0].endswith("/v1/messages")


def _refusal(http_response: httpx2.Response, value: object) -> Outcome:
    body: object = None
    with contextlib.suppress(ValueError):
        body = http_response.json()
    error_type, error_code = error_in(body)
    status, headers = http_response.status_code, http_response.headers
    return Outcome(status, headers, error_type, error_code, value=value)


def _answer(http_response: httpx2.Response, value: object) -> Outcome:
    status, headers = http_response.status_code, http_response.headers
    return Outcome(status=status, headers=headers, value=value, meter=meter_of(http_response))


def _judged(http_response: httpx2.Response, value: object, verdict: Verdict) -> Outcome:
    return Outcome(
        status=http_response.status_code,
        headers=http_response.headers,
        error_type="truncated" if verdict.truncated else verdict.error_type,
        error_code=verdict.error_code,
        unreachable=verdict.truncated,
        value=value,
        meter=getattr(http_response.stream, "meter", None),
    )


def failure(error: Exception) -> Outcome:
    """Return an exception as an outcome; a bench error hidden inside the SDK's is raised instead.

    The SDK wraps whatever a transport raises in `APIConnectionError`.  A cassette miss must
    not pass for a network fault, so it is taken out of its wrapping here.
    """
    for cause in _causes(error):
        if isinstance(cause, BenchError):
            raise cause from None
        if isinstance(cause, LabkitError):
            return Outcome(error=cause)
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


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what caused it, once each: a chain may lead back to its start."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        yield cause
        seen.append(cause)
        cause = cause.__cause__


def replaced(seen: Outcome | None, final: Outcome) -> Outcome | None:
    """Return `seen` if nobody will read it because `final` is handed on, and None otherwise.

    An error of a layer's own gets the failure it stands for as its cause.  What failed as a
    response has no exception yet; it becomes an `anthropic.APIStatusError`.
    """
    if seen is None or seen is final:
        return None
    error, http_response = final.error, http_of(seen.value)
    if error is not None and error.__cause__ is None and error is not seen.error and not seen.ok:
        error.__cause__ = seen.error
        if http_response is not None:
            body = {"type": "error", "error": {"type": seen.error_type}}
            cause = anthropic.APIStatusError(seen.reason, response=http_response, body=body)
            error.__cause__ = cause
    return None if seen.value is final.value else seen


def deliver(outcome: Outcome, api_request: APIRequest, hop: Hop | None) -> Any:
    """Hand the final outcome back: raise its error or return its value.

    The next layer further out finds the outcome itself in `hop`.  Raises TypeError for a failed
    outcome with neither, which the SDK would take for an answer.
    """
    if hop is not None and hop.api_request is api_request:
        hop.outcome = outcome
    if outcome.error is not None:
        raise outcome.error
    if outcome.value is None and not outcome.ok:
        raise TypeError("A flow returned a failed Outcome with neither an error nor a value.")
    return outcome.value


def close(outcome: Outcome | None) -> None:
    """Give the connection of an outcome nobody will read back to the pool."""
    http_response = None if outcome is None else http_of(outcome.value)
    if http_response is not None and not http_response.is_closed:
        http_response.close()


async def close_async(outcome: Outcome | None) -> None:
    """Do what `close` does for the async client."""
    http_response = None if outcome is None else http_of(outcome.value)
    if http_response is not None and not http_response.is_closed:
        await http_response.aclose()

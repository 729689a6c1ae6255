"""The way back: every end of an attempt is one kind of value, and goes back as it came."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic.types import Message

from labkit.errors import CassetteMiss, CircuitOpen, DeadlineExceeded, SocketRefused
from labkit.flow import Outcome
from labkit.sdk_outcome import close, deliver, failure, replaced
from tests.wire import (
    EVENTS,
    OVERLOAD,
    START,
    answer,
    event,
    message,
    refusal,
    stream,
)
from tests.world import Passing, Script, World

REQUEST = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")
ANY_API_REQUEST: Any = object()


def outcome_after(world: World, reply: Any, call: str = "create") -> Outcome:
    """Return what a layer is sent after this reply."""
    passing = Passing()
    with suppress(anthropic.APIError, httpx2.TransportError):
        world.run(lambda api: getattr(api, call)(), Script(reply), [passing], timeout=5)
    return passing.outcomes[0]


def test_an_answer_is_ok(world: World) -> None:
    """Status, headers and the SDK's own response."""
    outcome = outcome_after(world, answer(request_id="req_9"))
    assert (outcome.ok, outcome.status, outcome.error) == (True, 200, None)
    assert outcome.headers["Request-Id"] == "req_9"
    assert isinstance(outcome.value.http_response, httpx2.Response)


def test_an_answer_that_is_no_json_fails_its_reader_and_no_layer(world: World) -> None:
    """The SDK parses it when the layers are done."""
    whole = answer()
    half = replace(whole, chunks=tuple((at, data[: len(data) // 2]) for at, data in whole.chunks))
    passing = Passing()
    with pytest.raises(json.JSONDecodeError):
        world.run(lambda api: api.create(), Script(half), [passing], timeout=5)
    (outcome,) = passing.outcomes
    assert (outcome.ok, outcome.status) == (True, 200)


BODIES: dict[str, tuple[bytes, str, str | None]] = {
    "the API's": (b'{"error": {"type": "t", "details": {"error_code": "c"}}}', "t", "c"),
    "without details": (b'{"error": {"type": "t", "details": null}}', "t", None),
    "a proxy's text": (b"upstream connect error", "error", None),
    "a proxy's page": (b"<html>502</html>", "error", None),
    "nothing": (b"", "error", None),
    "a list": (b"[1]", "error", None),
    "an error that is text": (b'{"error": "no"}', "error", None),
    "a type that is a list": (b'{"error": {"type": ["t"], "details": "d"}}', "error", None),
    "a code that is no text": (
        b'{"error": {"type": "t", "details": {"error_code": []}}}',
        "t",
        None,
    ),
    "no text at all": (b"\xff\xfe\x00", "error", None),
}


@pytest.mark.parametrize(("body", "kind", "code"), BODIES.values(), ids=BODIES)
def test_an_error_body_of_any_shape_is_read(
    world: World, body: bytes, kind: str, code: str | None
) -> None:
    """Type and code where the API sent them, "error" where somebody else answered."""

    def server(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(502, content=body)

    passing = Passing()
    with pytest.raises(anthropic.InternalServerError):
        world.run(lambda api: api.create(), server, [passing])
    [outcome] = passing.outcomes
    assert (outcome.error_type, outcome.error_code) == (kind, code)
    assert outcome.transient


def test_an_error_inside_a_stream_is_an_outcome_with_its_type_and_code(world: World) -> None:
    """As if it had come with a status."""
    details = {"error_code": "ramp_limit_exceeded"}
    sent = event("error", error={"type": "rate_limit_error", "details": details})
    outcome = outcome_after(world, stream(START, sent), "events")
    assert (outcome.status, outcome.ok) == (200, False)
    assert (outcome.error_type, outcome.error_code) == ("rate_limit_error", "ramp_limit_exceeded")


def test_a_stream_cut_off_cleanly_is_unreachable(world: World) -> None:
    """It is as transient as a lost connection."""
    outcome = outcome_after(world, stream(START), "events")
    assert (outcome.reason, outcome.unreachable) == ("200 truncated", True)


def test_a_good_stream_is_ok(world: World) -> None:
    """Its content is on its way."""
    assert outcome_after(world, stream(*EVENTS), "events").ok


def test_an_error_raised_by_somebody_elses_middleware_is_read_like_a_response() -> None:
    """Status, headers, type and code are the same."""
    response = httpx2.Response(529, headers={"retry-after": "3"}, request=REQUEST)
    body = {"type": "error", "error": {"type": "overloaded_error"}}
    error = anthropic.APIStatusError("no", response=response, body=body)
    outcome = failure(error)
    assert (outcome.status, outcome.error_type, outcome.error) == (529, "overloaded_error", error)
    assert (outcome.retry_after, outcome.transient) == (3, True)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx2.ReadTimeout("slow"), anthropic.APITimeoutError),
        (httpx2.RemoteProtocolError("cut"), anthropic.APIConnectionError),
    ],
)
def test_what_broke_under_a_peek_becomes_the_sdks_error(
    error: httpx2.TransportError, kind: type[anthropic.APIConnectionError]
) -> None:
    """The SDK wraps what breaks before the response; this broke just after."""
    error.request = REQUEST
    outcome = failure(error)
    assert type(outcome.error) is kind
    assert outcome.error.__cause__ is error
    assert outcome.unreachable


@pytest.mark.parametrize("hidden", [CassetteMiss("not there"), SocketRefused("no")])
def test_a_mistake_of_the_bench_is_unwrapped_and_raised(hidden: Exception) -> None:
    """However deep it is wrapped."""
    wrapped = anthropic.APIConnectionError(request=REQUEST)
    wrapped.__cause__ = httpx2.ConnectError("odd")
    wrapped.__cause__.__cause__ = hidden
    with pytest.raises(type(hidden)) as caught:
        failure(wrapped)
    assert caught.value is hidden
    assert caught.value.__suppress_context__  # the wrapping would only confuse


@pytest.mark.parametrize("hidden", [CircuitOpen("open"), DeadlineExceeded("late")])
def test_a_no_of_our_own_is_unwrapped_and_stays_an_outcome(hidden: Exception) -> None:
    """It never was a lost connection."""
    wrapped = anthropic.APIConnectionError(request=REQUEST)
    wrapped.__cause__ = hidden
    outcome = failure(wrapped)
    assert outcome.error is hidden
    assert not outcome.unreachable


def test_the_value_is_handed_back_and_the_error_raised() -> None:
    """One or the other."""
    value = Message.model_validate(message())
    assert deliver(Outcome(status=200, value=value), ANY_API_REQUEST, None) is value
    with pytest.raises(CircuitOpen):
        deliver(Outcome(error=CircuitOpen("open")), ANY_API_REQUEST, None)


def test_an_error_that_has_a_cause_keeps_it() -> None:
    """A layer knows best why it failed."""
    mine = CircuitOpen("open")
    mine.__cause__ = ValueError("my reason")
    replaced(Outcome(error=KeyError("seen")), Outcome(error=mine))
    assert isinstance(mine.__cause__, ValueError)


def test_an_answer_is_no_cause() -> None:
    """Only a failure explains a failure."""
    mine = CircuitOpen("open")
    seen = Outcome(status=200, value="an answer")
    assert replaced(seen, Outcome(error=mine)) is seen
    assert mine.__cause__ is None


def test_nothing_is_replaced_where_the_same_comes_back() -> None:
    """Neither the outcome nor another with the same response is to be closed."""
    seen = Outcome(status=200, value="an answer")
    assert replaced(seen, seen) is None
    assert replaced(seen, Outcome(status=200, value=seen.value)) is None
    assert replaced(None, seen) is None


def test_an_outcome_without_a_response_has_nothing_to_close() -> None:
    """A ready value or an error holds no connection."""
    close(None)
    close(Outcome(status=200, value="ready"))
    close(Outcome(error=CircuitOpen("open")))


def test_the_error_of_a_status_is_left_to_the_sdk(world: World) -> None:
    """It has the right class for each, and makes it from the response."""
    outcome = outcome_after(world, refusal(400, "invalid_request_error"))
    assert outcome.error is None
    assert outcome.value.http_response.status_code == 400


def test_an_overload_in_a_stream_has_no_exception_yet(world: World) -> None:
    """The SDK raises it where the stream is read."""
    assert outcome_after(world, stream(OVERLOAD), "events").error is None

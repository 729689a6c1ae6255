"""Refusals: one shape as a value, as an answer, and as an answer of a fault."""

from __future__ import annotations

import json

import pytest

from labkit.sim.error_answers import error_reply
from labkit.sim.problem import ApiError, invalid, not_allowed, not_found
from labkit.sim.routes import error_reply_of


@pytest.mark.parametrize(
    ("problem", "status", "kind"),
    [
        (invalid("x"), 400, "invalid_request_error"),
        (not_found("x"), 404, "not_found_error"),
        (not_allowed(), 405, "invalid_request_error"),
    ],
)
def test_a_refusal_has_a_status_and_a_type(problem: ApiError, status: int, kind: str) -> None:
    """Those of claude-api.md 3.1."""
    assert (problem.status, problem.type) == (status, kind)
    body = problem.body("req_1")
    assert list(body) == ["type", "error", "request_id"]
    assert list(body["error"]) == ["type", "message"]


def test_a_code_stands_in_the_details() -> None:
    """And only where there is one."""
    problem = ApiError(429, "rate_limit_error", "Too fast.", "ramp_limit_exceeded", 20)
    assert problem.body("req_1")["error"]["details"] == {"error_code": "ramp_limit_exceeded"}


@pytest.mark.parametrize("wait", [None, 7])
def test_an_answer_says_whether_waiting_can_help(wait: int | None) -> None:
    """`retry-after` where it is known when, and `x-should-retry` in any case."""
    reply = error_reply_of(ApiError(429, "rate_limit_error", "No.", None, wait), "req_1")
    assert reply.headers["x-should-retry"] == ("false" if wait is None else "true")
    assert reply.headers.get("retry-after") == (None if wait is None else "7")


def test_both_ways_of_answering_write_the_same_body() -> None:
    """A refusal of the API, and a fault that says the same."""
    problem = ApiError(529, "overloaded_error", "Overloaded", "code")
    ours = error_reply_of(problem, "req_1")
    theirs = error_reply(
        529, "overloaded_error", "Overloaded", request_id="req_1", error_code="code"
    )
    assert json.loads(ours.body) == json.loads(theirs.body)
    assert ours.status == theirs.status


def test_words_that_cannot_be_written_do_not_break_an_answer() -> None:
    """Half a character in a message becomes a question mark."""
    assert (
        json.loads(error_reply_of(invalid("a \ud800"), "req_1").body)["error"]["message"] == "a ?"
    )

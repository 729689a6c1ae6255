"""Bytes become JSON or a refusal, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.problem import ApiError
from labkit.sim.request_body import (
    LARGEST_BATCH,
    LARGEST_MESSAGE,
    announced_length,
    read_json,
    too_large,
)

MESSAGES, BATCHES = "/v1/messages", "/v1/messages/batches"


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_become_json_or_a_400(content: bytes) -> None:
    """No bytes raise, and what is read can be written again."""
    found = read_json(content)
    if isinstance(found, ApiError):
        assert (found.status, found.type) == (400, "invalid_request_error")
        assert found.message.startswith("The request body is not valid JSON: ")
    else:
        json.dumps(found, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"a": NaN}', b"\xff", rb'{"a": "\ud83d"}', b"[" * 200_000, b"1" * 5000],
)
def test_what_python_would_read_but_json_is_not_is_refused(content: bytes) -> None:
    """NaN, half a character, endless nesting and endless digits are no JSON here."""
    assert isinstance(read_json(content), ApiError)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    """An escaped emoji is read as one."""
    assert read_json(rb'{"a": "\ud83d\ude00"}') == {"a": "\N{GRINNING FACE}"}


def test_a_body_over_its_limit_is_a_413() -> None:
    """32 MB for a message, 256 MB for a batch, to the byte."""
    assert too_large(LARGEST_MESSAGE, MESSAGES) is None
    assert too_large(LARGEST_BATCH, f"{BATCHES}/?beta=true") is None
    refused = too_large(LARGEST_MESSAGE + 1, MESSAGES)
    assert refused is not None
    assert (refused.status, refused.type) == (413, "request_too_large")
    assert too_large(LARGEST_BATCH + 1, BATCHES) == refused


@pytest.mark.parametrize(
    ("header", "length"),
    [("12", 12), ("0", 0), ("", 0), ("-1", 0), ("1e9", 0), ("²", 0), ("9" * 5000, 0)],
)
def test_a_length_that_is_no_number_announces_nothing(header: str, length: int) -> None:
    """Whatever stands in the header, it is read as a number of bytes or not at all."""
    assert announced_length({"content-length": header}) == length


def test_an_error_is_written_as_the_api_writes_it() -> None:
    """The body has the recorded keys, and details only where there is a code."""
    plain = ApiError(400, "invalid_request_error", "No.")
    assert plain.body("req_1") == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "No."},
        "request_id": "req_1",
    }
    coded = ApiError(429, "rate_limit_error", "No.", code="ramp_limit_exceeded")
    assert coded.body(None)["error"]["details"] == {"error_code": "ramp_limit_exceeded"}

"""How the simulated wire is spelled, held against all recordings at once.

What one request gets is compared with its own recording in `test_against_recordings`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from tests.sim.differences import key_paths, pattern
from tests.sim.recorded_exchanges import Recorded, events, read, recordings

pytestmark = pytest.mark.skipif(
    not recordings(), reason="the recordings of the real API are not at ../shared/recordings"
)
BODY: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "How does a queue fill up?"}],
}


@pytest.fixture(scope="module")
def streams() -> list[Recorded]:
    """Return every recorded stream."""
    return [each for each in _all() if each.is_stream]


@pytest.fixture(scope="module")
def errors() -> list[Recorded]:
    """Return every recorded error."""
    return [each for each in _all() if each.status >= 400]


def _all() -> list[Recorded]:
    return [each for path in recordings() for each in read(path)]


def simulated(fault: str | None = None, **change: Any) -> Reply:
    """Return the simulated answer to a message."""
    api = SimulatedApi(faults=[Fault(fault)] if fault else [])
    headers = {"authorization": "Bearer k", "anthropic-version": "2026-10-21"}
    return api.reply("POST", "/v1/messages", headers, json.dumps({**BODY, **change}).encode(), 0.0)


def streamed(fault: str | None = None) -> str:
    """Return a simulated stream."""
    return simulated(fault, stream=True).body.decode()


def test_the_order_of_events_is_the_commonest_real_one(streams: list[Recorded]) -> None:
    """Start, block, deltas, end: as in most recorded streams."""
    seen = Counter(pattern(events(each.body)) for each in streams)
    assert pattern(events(streamed())) == seen.most_common(1)[0][0]


def test_frames_are_spelled_as_the_real_ones(streams: list[Recorded]) -> None:
    """Lines end in a line feed, frames in two, and the ping is equal byte for byte."""
    frame = re.compile(r"event: \w+\ndata: \{.*\}")
    for body in (streamed(), *(each.body for each in streams)):
        assert body.endswith("\n\n")
        assert all(frame.fullmatch(each) for each in body[:-2].split("\n\n"))
    real = {ping for each in streams for ping in _pings(each.body)}
    assert set(_pings(streamed())) == real


def _pings(body: str) -> list[str]:
    return [frame for frame in body.split("\n\n") if frame.startswith("event: ping")]


def test_message_start_promises_little_and_message_delta_tells_all(
    streams: list[Recorded],
) -> None:
    """The first usage has a few output tokens, the last one all of them."""
    for body in (streamed(), *(each.body for each in streams)):
        told = events(body)
        if told[0]["type"] == "error":
            continue
        last = [event for event in told if event["type"] == "message_delta"][-1]
        assert 0 <= told[0]["message"]["usage"]["output_tokens"] < 100
        assert last["usage"]["output_tokens"] >= 1


@pytest.mark.parametrize(
    ("fault", "status", "wording"),
    [("internal", 500, "Internal server error"), ("overloaded", 529, "Overloaded")],
)
def test_errors_have_the_real_wording(
    errors: list[Recorded], fault: str, status: int, wording: str
) -> None:
    """Where an error always says the same, ours says it too."""
    real = {json.loads(e.body)["error"]["message"] for e in errors if e.status == status}
    assert {json.loads(simulated(fault).body)["error"]["message"]} == real == {wording}


def test_an_error_event_is_the_recorded_one(streams: list[Recorded]) -> None:
    """An overload inside a stream comes alone, with the recorded keys and today's request id."""
    real = [events(each.body) for each in streams if each.body.startswith("event: error")]
    ours = events(streamed("stream_error"))
    assert [event["type"] for event in ours] == ["error"]
    keys = {path for told in real for path in key_paths(told[0])}
    assert set(key_paths(ours[0])) == keys | {".request_id"}
    assert ours[0]["error"] == real[0][0]["error"]


def test_a_prompt_that_is_too_long_says_so_in_the_real_words(errors: list[Recorded]) -> None:
    """The refusal names both figures as the recorded one does."""
    wording = re.compile(r"prompt is too long: \d+ tokens > \d+ maximum")
    real = [json.loads(each.body)["error"]["message"] for each in errors if each.status == 400]
    turn = {"role": "user", "content": "x" * 3_000_000}
    ours = json.loads(simulated(messages=[turn]).body)["error"]["message"]
    assert wording.fullmatch(ours)
    assert any(wording.fullmatch(each) for each in real)


def test_a_request_beyond_a_whole_minute_says_so_in_the_real_words(errors: list[Recorded]) -> None:
    """The 429 begins as the recorded one, waiting is not advised, and nothing is used up."""
    wording = re.compile(
        r"This request would exceed your organization's rate limit of [\d,]+ input tokens per "
        r"minute \(org: [\w-]+, model: [\w-]+\)\. .*"
    )
    real = [json.loads(each.body)["error"]["message"] for each in errors if each.status == 429]
    ours = simulated(messages=[{"role": "user", "content": "x" * 6_000_000}])
    assert wording.fullmatch(json.loads(ours.body)["error"]["message"])
    assert any(wording.fullmatch(each) for each in real)
    assert (ours.status, ours.headers["x-should-retry"]) == (429, "false")
    assert "retry-after" not in ours.headers
    left, limit = (f"anthropic-ratelimit-input-tokens-{name}" for name in ("remaining", "limit"))
    assert ours.headers[left] == ours.headers[limit]

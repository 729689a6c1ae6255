"""A stream adds up to one message: the last usage wins, the split comes from the start."""

from __future__ import annotations

import json
from typing import Any

import pytest

from labkit.recorded.stream import Streamed, is_event_stream, read_streams

START = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 50,
    "cache_read_input_tokens": 0,
    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 50},
    "output_tokens": 3,
    "service_tier": "standard",
}


def event(kind: str, **fields: Any) -> str:
    """Write one event as the API does."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n"


def start(**usage: Any) -> str:
    """Write a `message_start`."""
    message = {"id": "msg_1", "type": "message", "model": "claude-opus-5", "content": []}
    return event("message_start", message=message | {"usage": START | usage})


def delta(stop_reason: str | None = "end_turn", **usage: Any) -> str:
    """Write a `message_delta`."""
    return event("message_delta", delta={"stop_reason": stop_reason}, usage=usage)


def only(text: str) -> Streamed:
    """Read a text that holds one stream."""
    (stream,) = read_streams(text)
    return stream


def usage_of(text: str) -> dict[str, Any]:
    """Give the usage a stream adds up to."""
    message = only(text).message
    assert message is not None
    return dict(message["usage"])


def test_the_final_usage_wins_and_silence_keeps_what_was_said() -> None:
    """A delta is cumulative; what it does not mention stands as announced."""
    usage = usage_of(start() + delta(output_tokens=80))
    assert usage == START | {"output_tokens": 80}


def test_input_tokens_of_the_last_delta_win_over_those_of_the_start() -> None:
    """Server tools read more than the request brought: 2,479 tokens became 404,500."""
    usage = usage_of(start() + delta(None, input_tokens=900) + delta(input_tokens=404_500))
    assert usage["input_tokens"] == 404_500


def test_a_null_in_the_delta_says_nothing() -> None:
    """Null is not zero."""
    usage = usage_of(start() + delta(output_tokens=80, input_tokens=None))
    assert usage["input_tokens"] == 100


def test_an_unchanged_total_keeps_the_split_of_the_start() -> None:
    """Only the start tells five minutes from one hour."""
    usage = usage_of(start() + delta(output_tokens=80, cache_creation_input_tokens=50))
    assert usage["cache_creation"]["ephemeral_1h_input_tokens"] == 50


def test_a_smaller_total_drops_a_split_that_no_longer_fits() -> None:
    """A compaction's writes are announced at the start and gone from the final total."""
    usage = usage_of(start() + delta(output_tokens=80, cache_creation_input_tokens=0))
    assert usage["cache_creation"] is None


def test_a_larger_total_keeps_the_known_part_of_the_split() -> None:
    """What was written later has no known lifetime."""
    usage = usage_of(start() + delta(output_tokens=80, cache_creation_input_tokens=70))
    assert usage["cache_creation"]["ephemeral_1h_input_tokens"] == 50


def test_message_iterations_tell_a_new_totals_split() -> None:
    """Where the sub-calls' own splits add up to the total, they are the split."""
    entries = [
        {"type": kind, "cache_creation": split}
        for kind, split in [
            ("message", {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30}),
            ("compaction", {"ephemeral_5m_input_tokens": 999, "ephemeral_1h_input_tokens": 0}),
            ("message", {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 0}),
        ]
    ]
    final = delta(output_tokens=1, cache_creation_input_tokens=70, iterations=entries)
    split = usage_of(start() + final)["cache_creation"]
    assert split == {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 30}


def test_pings_comments_and_unknown_events_change_nothing() -> None:
    """Nothing depends on their place."""
    noise = (
        'event: ping\ndata: {"type": "ping"}\n\n' + event("brand_new_event", x=1) + ": hello\n\n"
    )
    quiet = only(start() + delta(output_tokens=80))
    assert only(noise + start() + noise + delta(output_tokens=80) + noise) == quiet


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_will_do(end: str) -> None:
    """Recorders on other systems keep other line ends."""
    text = start() + delta(output_tokens=80)
    assert only(text.replace("\n", end)) == only(text)


def test_a_line_separator_inside_a_text_is_no_line_end() -> None:
    """U+2028 is a plain character of JSON."""
    block = {"type": "text", "text": "one\u2028two"}
    opening = {"type": "content_block_start", "content_block": block}
    raw = f"data: {json.dumps(opening, ensure_ascii=False)}\n\n"
    message = only(start() + raw + delta(output_tokens=1)).message
    assert message is not None
    assert message["content"] == [block]


def test_a_stream_cut_before_its_final_usage_is_not_final() -> None:
    """The tokens of a start alone are not the bill."""
    assert not only(start()).final
    whole = start() + delta(output_tokens=80)
    assert not only(whole[: whole.index("message_delta") + 40]).final
    assert only(whole).final


def test_an_error_alone_has_no_message() -> None:
    """The API can refuse inside a 200 before anything began."""
    stream = only(event("error", error={"type": "overloaded_error", "message": "Overloaded"}))
    assert stream.message is None
    assert stream.error is not None


def test_an_error_after_the_start_is_kept_beside_the_message() -> None:
    """What came before the error is still known."""
    stream = only(start() + event("error", error={"type": "overloaded_error", "message": "x"}))
    assert stream.message is not None
    assert stream.error is not None
    assert not stream.final


def test_two_streams_in_one_text_stay_two() -> None:
    """Each start begins another message."""
    texts = [start(input_tokens=n) + delta(output_tokens=n) for n in (1, 2)]
    inputs = [
        stream.message["usage"]["input_tokens"]
        for stream in read_streams("".join(texts))
        if stream.message
    ]
    assert inputs == [1, 2]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("event: ping\n", True),
        ("\n\ndata: {}\n", True),
        (": a comment\n\nevent: x", True),
        ("interactions:\n- request:\n", False),
        ('{"type": "message"}', False),
        ("", False),
    ],
)
def test_event_streams_are_known_by_their_first_line(text: str, verdict: bool) -> None:
    """An opening field name or comment tells."""
    assert is_event_stream(text) is verdict

"""Each kind of reply becomes the right row: its tokens, its cost, or the reason for none."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from labkit.recorded import RecordedCall, read

MESSAGE = {
    "type": "message",
    "model": "claude-opus-5",
    "content": [{"type": "text", "text": "x"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1_000, "output_tokens": 100},
}
API = "https://api.anthropic.com"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Name a file to write to."""
    return tmp_path / "recording.json"


def rows(
    file: Path, body: object, *, status: int = 200, method: str = "POST", url: str = ""
) -> list[RecordedCall]:
    """Read one exchange whose body is a tree or a text."""
    text = body if isinstance(body, str) else json.dumps(body)
    request = {"method": method, "url": url or f"{API}/v1/messages", "body": '{"model": "asked"}'}
    exchange = {"request": request, "response": {"status": status, "body": text}}
    file.write_text(json.dumps(exchange))
    return list(read([file]).calls)


def row(file: Path, body: object, **more: Any) -> RecordedCall:
    """Read one exchange that gives one row."""
    (only,) = rows(file, body, **more)
    return only


def stream(*events: dict[str, Any]) -> str:
    """Write a stream of events."""
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)


def test_a_message_is_priced(file: Path) -> None:
    """1,000 x 5 + 100 x 25 dollars a million."""
    call = row(file, MESSAGE)
    assert (call.kind, call.model, call.cost_usd) == ("message", "claude-opus-5", Decimal("0.0075"))
    assert call.note is None


def test_every_detail_of_the_usage_has_its_column(file: Path) -> None:
    """The nested names of the API are flattened to their last part."""
    usage = {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 9,
        "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 5},
        "server_tool_use": {"web_search_requests": 6, "web_fetch_requests": 7},
        "output_tokens_details": {"thinking_tokens": 1},
        "service_tier": "standard",
        "inference_geo": "us",
        "speed": "fast",
    }
    call = row(file, MESSAGE | {"usage": usage})
    names = ("service_tier", "inference_geo", "speed", "thinking_tokens", "web_search_requests")
    assert [getattr(call, name) for name in names] == ["standard", "us", "fast", 1, 6]
    assert (call.ephemeral_5m_input_tokens, call.ephemeral_1h_input_tokens) == (4, 5)
    assert call.web_fetch_requests == 7
    assert call.cache_creation_input_tokens == 9
    # (1 x 10 + 2 x 50 + 3 x 1 + 4 x 12.50 + 5 x 20) x 1.1 a million, and six searches
    assert call.cost_usd == Decimal("0.0602893")


def test_an_unknown_model_shows_its_tokens_and_says_why_it_has_no_price(file: Path) -> None:
    """Tokens are facts even where the price is not."""
    call = row(file, MESSAGE | {"model": "claude-opus-9"})
    assert (call.input_tokens, call.output_tokens, call.cost_usd) == (1_000, 100, None)
    assert "price unknown: The catalogue knows no model 'claude-opus-9'" in str(call.note)


def test_a_message_without_a_model_takes_the_one_asked_for(file: Path) -> None:
    """The request names it too."""
    body = {name: value for name, value in MESSAGE.items() if name != "model"}
    call = row(file, body)
    assert call.model == "asked"
    assert "price unknown" in str(call.note)


def test_another_sellers_prices_are_unknown(file: Path) -> None:
    """The catalogue holds the prices of the Claude API alone."""
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-opus-5/invoke"
    call = row(file, MESSAGE, url=url)
    assert call.input_tokens == 1_000
    assert call.cost_usd is None
    assert "sells at its own prices" in str(call.note)


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        (None, "The usage has no input_tokens."),
        ({"input_tokens": "19", "output_tokens": 1}, "input_tokens = '19', which is no count"),
        ({"input_tokens": 19}, "The usage has no output_tokens."),
        ([], "The usage has no input_tokens."),
    ],
)
def test_a_usage_nobody_can_read_is_said(usage: object, reason: str, file: Path) -> None:
    """Nothing is shown as zero that was not said to be."""
    call = row(file, MESSAGE | {"usage": usage})
    assert (call.kind, call.input_tokens, call.cost_usd) == ("message", None, None)
    assert reason in str(call.note)


def test_cache_writes_of_unknown_lifetime_say_how_they_were_priced(file: Path) -> None:
    """An assumption is never silent."""
    usage = {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 1_000}
    call = row(file, MESSAGE | {"usage": usage})
    assert call.cost_usd == Decimal("0.00625")
    assert call.ephemeral_5m_input_tokens is None
    assert call.note == "cache writes of unrecorded lifetime, priced as five minutes"


def test_a_refusal_before_any_output_costs_nothing(file: Path) -> None:
    """Its tokens are reported and not billed; that is known, not unknown."""
    call = row(file, MESSAGE | {"stop_reason": "refusal", "content": []})
    assert (call.input_tokens, call.cost_usd) == (1_000, Decimal(0))
    assert "not billed" in str(call.note)


def test_a_refusal_in_mid_answer_is_billed(file: Path) -> None:
    """Some text came, so the tokens count."""
    call = row(file, MESSAGE | {"stop_reason": "refusal"})
    assert call.cost_usd == Decimal("0.0075")


def test_a_streamed_refusal_is_judged_by_its_content_blocks(file: Path) -> None:
    """A stream's message begins empty; only a block that came makes it billed."""
    opening = {"type": "message_start", "message": MESSAGE}
    block = {"type": "content_block_start", "content_block": {"type": "text", "text": ""}}
    end = {
        "type": "message_delta",
        "delta": {"stop_reason": "refusal"},
        "usage": {"output_tokens": 100},
    }
    assert row(file, stream(opening, end)).cost_usd == Decimal(0)
    assert row(file, stream(opening, block, end)).cost_usd == Decimal("0.0075")


def test_sub_calls_are_counted_apart_and_named(file: Path) -> None:
    """The top-level columns stay the API's own numbers."""
    entry = {"input_tokens": 10, "output_tokens": 2, "cache_creation_input_tokens": 5}
    entries = [
        entry | {"type": "message"},
        entry | {"type": "compaction"},
        entry | {"type": "advisor_message", "model": "claude-opus-5-5"},
    ]
    call = row(file, MESSAGE | {"usage": MESSAGE["usage"] | {"iterations": entries}})  # type: ignore[operator]
    assert call.input_tokens == 1_000
    assert (call.extra_input_tokens, call.extra_output_tokens) == (30, 4)
    assert call.note == (
        "on top: compaction 15 in, 2 out, advisor_message by claude-opus-5-5 15 in, 2 out"
    )
    # 0.0075, and 10 x 5 + 2 x 25 + 5 x 6.25, and 10 x 4 + 2 x 20 + 5 x 5
    assert call.cost_usd == Decimal("0.0075") + Decimal("0.00013125") + Decimal("0.000105")


def test_an_error_says_what_the_api_said(file: Path) -> None:
    """Type and message, on the status that came."""
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slow\ndown"}}
    call = row(file, error, status=429)
    assert (call.kind, call.status, call.model) == ("error", 429, "asked")
    assert (call.input_tokens, call.cost_usd) == (None, None)
    assert call.note == "rate_limit_error: Slow down"


def test_an_error_without_its_outer_type_is_still_an_error(file: Path) -> None:
    """A gateway's 413 comes this way."""
    error = {"error": {"type": "request_too_large", "message": "too much"}}
    assert row(file, error, status=413).note == "request_too_large: too much"


@pytest.mark.parametrize("body", ["", "<html>Bad gateway</html>", "{}"])
def test_an_error_status_without_an_error_object_is_an_error(body: str, file: Path) -> None:
    """The status alone says enough."""
    call = row(file, body, status=502)
    assert (call.kind, call.note) == ("error", "HTTP 502 without an error object")


def test_an_error_inside_a_200_stream_is_an_error(file: Path) -> None:
    """No message began, so there is nothing to price."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    call = row(file, stream(error))
    assert (call.kind, call.status, call.stream) == ("error", 200, True)
    assert call.note == "overloaded_error: Overloaded"


def test_an_error_after_the_stream_began_leaves_the_price_unknown(file: Path) -> None:
    """What it cost until then is not told."""
    opening = {"type": "message_start", "message": MESSAGE}
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    call = row(file, stream(opening, error))
    assert (call.kind, call.input_tokens, call.cost_usd) == ("message", 1_000, None)
    assert call.note == "price unknown: the stream broke off with overloaded_error: Overloaded"


def test_counting_tokens_is_free_and_its_answer_is_no_usage(file: Path) -> None:
    """A count must not be added to what was spent."""
    call = row(file, {"input_tokens": 23}, url=f"{API}/v1/messages/count_tokens")
    assert (call.kind, call.model, call.cost_usd) == ("count_tokens", "asked", Decimal(0))
    assert call.input_tokens is None
    assert call.note == "counted 23 input tokens; counting is free"


def test_every_line_of_batch_results_is_a_row_at_half_price(file: Path) -> None:
    """Only what succeeded is billed; a result that names no tier is a batch's all the same."""
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}
    results = [
        {"type": "succeeded", "message": MESSAGE},
        {"type": "errored", "error": error},
        {"type": "canceled"},
        {"type": "expired"},
        {"type": "vanished"},
    ]
    lines = [json.dumps({"custom_id": str(n), "result": r}) for n, r in enumerate(results)]
    calls = rows(file, "\n".join(lines) + "\n")
    assert {call.kind for call in calls} == {"batch_result"}
    assert [call.cost_usd for call in calls] == [Decimal("0.00375"), 0, 0, 0, None]
    assert [call.note for call in calls[1:]] == [
        "errored (invalid_request_error: no): not billed",
        "canceled: not billed",
        "expired: not billed",
        "a result of unknown type vanished",
    ]


BATCH = {"type": "message_batch", "processing_status": "in_progress"}


@pytest.mark.parametrize(
    ("body", "kind", "note"),
    [
        (BATCH, "batch", "batch in_progress; tokens stand in its results"),
        ({"type": "message_batch_deleted"}, "batch", "batch deleted; tokens stand in its results"),
        ({"data": [BATCH, BATCH], "has_more": False}, "batch", "a list of 2, no tokens used"),
        ({"data": [{"type": "model"}]}, "models", "a list of 1, no tokens used"),
        ({"type": "model", "id": "x"}, "models", "a description, no tokens used"),
        (
            {"type": "completion", "completion": "Hi"},
            "complete",
            "the legacy completions reply reports no tokens",
        ),
    ],
)
def test_replies_without_tokens_say_what_they_are(
    body: object, kind: str, note: str, file: Path
) -> None:
    """Nothing is silently dropped."""
    call = row(file, body)
    assert (call.kind, call.note, call.cost_usd) == (kind, note, None)


@pytest.mark.parametrize("body", ["", '{"id": "file_1"}', '{"data": []}', "[]", "not JSON", "null"])
def test_what_the_messages_api_does_not_send_is_named_by_its_request(body: str, file: Path) -> None:
    """An upload in the middle of a cassette is a row without a price."""
    call = row(file, body, method="POST", url=f"{API}/v1/files?x=1")
    assert call.kind == "other"
    assert call.note == "POST /v1/files: not a reply of the Messages API, so nothing to price"


def test_another_providers_reply_is_not_taken_for_ours(file: Path) -> None:
    """It counts tokens under other names."""
    body = {"object": "chat.completion", "model": "other", "usage": {"prompt_tokens": 3}}
    assert row(file, body, url="https://example.com/v1/chat/completions").kind == "other"


def test_recorded_text_cannot_speak_to_the_terminal(file: Path) -> None:
    """Control characters and line ends of a reply do not reach the screen, nor endless text."""
    error = {"type": "error", "error": {"type": "x", "message": "\x1b[31mred\r\n" + "a" * 999}}
    call = row(file, error, status=400)
    assert str(call.note).isprintable()
    assert len(str(call.note)) <= 160
    body = MESSAGE | {"model": "\ud800\x1b]0;x\x07", "stop_reason": "a\tb"}
    call = row(file, body)
    assert call.model == "]0;x"
    assert call.stop_reason == "a b"

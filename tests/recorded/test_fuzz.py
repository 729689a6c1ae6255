"""Whatever a file holds, reading and printing it never ends in a traceback."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.recorded import ledger, read

NAMES = st.sampled_from(
    ["x.yaml", "x.yml", "x.json", "x.jsonl", "x.sse", "x.csv", "x", "x.gz", "naïve [b].yaml"]
)
WORDS = st.sampled_from(
    [
        *("type", "message", "error", "data", "result", "custom_id", "usage", "model", "content"),
        *("input_tokens", "output_tokens", "cache_creation", "cache_creation_input_tokens"),
        *("ephemeral_1h_input_tokens", "iterations", "compaction", "advisor_message", "succeeded"),
        *("server_tool_use", "service_tier", "batch", "speed", "fast", "inference_geo", "us"),
        *("interactions", "http_interactions", "request", "response", "status", "code", "headers"),
        *("body", "string", "base64_string", "parsed_body", "method", "uri", "url", "stop_reason"),
        *("refusal", "message_start", "message_delta", "delta", "content_block_start", "event"),
        *("message_batch", "completion", "processing_status", "claude-opus-5", "claude-haiku-5-5"),
        *("server-timing", "x-envoy-upstream-service-time", "x;dur=1e999", "https://[", "\ud800"),
    ]
)
LEAVES = (
    st.none() | st.booleans() | st.integers(-1, 10**18) | st.floats() | WORDS | st.text(max_size=5)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=25,
)
COUNTS = st.integers(0, 10**6) | LEAVES
USAGES = st.fixed_dictionaries(
    {"input_tokens": COUNTS, "output_tokens": COUNTS},
    optional={
        "cache_creation_input_tokens": COUNTS,
        "cache_creation": st.fixed_dictionaries({"ephemeral_1h_input_tokens": COUNTS}),
        "iterations": st.lists(st.dictionaries(WORDS, COUNTS, max_size=4), max_size=2),
        "service_tier": LEAVES,
        "inference_geo": LEAVES,
        "speed": LEAVES,
    },
)
MESSAGES = st.fixed_dictionaries(
    {"type": st.just("message"), "usage": USAGES | TREES},
    optional={"model": LEAVES, "stop_reason": LEAVES, "content": TREES},
)
EVENTS = st.fixed_dictionaries(
    {"type": WORDS}, optional={"message": MESSAGES, "delta": TREES, "usage": USAGES, "error": TREES}
)
patient = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def survive(name: str, content: bytes) -> None:
    """Read and print a file in every form; any exception is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        reading = read([path])
        for remark in reading.remarks:
            assert remark.sentence.isprintable()
            assert remark.sentence.endswith(".")
        styles: tuple[dict[str, Any], ...] = ({}, {"csv": True}, {"json": True})
        for style in styles:
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                assert ledger([path], **style) == reading.exit_code
            out.getvalue().encode()
            if "json" in style:
                assert len(json.loads(out.getvalue())) == len(reading.calls)


@patient
@given(NAMES, st.binary(max_size=300))
def test_any_bytes_are_survived(name: str, content: bytes) -> None:
    """Noise under any name is a sentence."""
    survive(name, content)


@patient
@given(NAMES, st.binary(max_size=100))
def test_any_gzip_is_survived(name: str, content: bytes) -> None:
    """Whole or cut, a compressed file is read or named."""
    survive(name, gzip.compress(content)[: len(content) + 10])


@patient
@given(NAMES, TREES)
def test_any_json_is_survived(name: str, tree: Any) -> None:
    """Fields of the right names with values of any kind."""
    survive(name, json.dumps(tree).encode())


@patient
@given(st.lists(MESSAGES, min_size=1, max_size=3))
def test_messages_with_any_fields_are_survived(messages: list[Any]) -> None:
    """A message may lie about everything but its type."""
    survive("x.jsonl", "\n".join(json.dumps(message) for message in messages).encode())


@patient
@given(st.lists(EVENTS, max_size=5), st.integers(0, 2000))
def test_streams_of_any_events_cut_anywhere_are_survived(events: list[Any], length: int) -> None:
    """Events in any order, with any fields, and an end at any character."""
    text = "".join(f"event: x\ndata: {json.dumps(event)}\n\n" for event in events)
    survive("x.sse", text[:length].encode())


@patient
@given(TREES, TREES, TREES, st.sampled_from(["interactions", "http_interactions"]))
def test_cassettes_with_any_fields_are_survived(
    request: Any, response: Any, body: Any, name: str
) -> None:
    """The frame of a cassette around anything."""
    halves = [
        {"request": request, "response": response},
        {"request": {"uri": "https://x", "body": request}, "response": {"body": body}},
        {"request": {}, "response": {"body": {"string": body}, "status": response}},
        {"response": {"headers": request, "parsed_body": body, "status": 200}},
        response,
    ]
    survive("x.json", json.dumps({name: halves}).encode())


@patient
@given(st.integers(0, 5000), st.sampled_from(["x.yaml", "x"]))
def test_a_cassette_cut_at_any_character_is_survived(length: int, name: str) -> None:
    """Every stump is read as far as it goes, or named."""
    message = {"type": "message", "model": "claude-opus-5", "usage": {"input_tokens": 1}}
    exchange = {
        "request": {"method": "POST", "uri": "https://api.anthropic.com/v1/messages"},
        "response": {
            "status": {"code": 200},
            "headers": {"server-timing": ["x;dur=3"]},
            "body": {"string": json.dumps(message, indent=1)},
        },
    }
    text = yaml.safe_dump({"interactions": [exchange] * 3, "version": 1})
    survive(name, text[: length % len(text)].encode())


@pytest.mark.parametrize("depth", [99, 101, 10_000])
def test_deep_nesting_is_survived(depth: int) -> None:
    """No depth overflows anything."""
    for name in ("x.json", "x.yaml", "x.jsonl"):
        survive(name, b'{"interactions":' + b"[" * depth + b"]" * depth + b"}")
        survive(name, b"interactions: " + b"{a: " * depth + b"}" * depth)


@pytest.mark.parametrize("number", ["9" * 5_000, "0x" + "f" * 9_000, "-1", "1e400", ".nan", "1:30"])
def test_numbers_of_any_size_are_survived(number: str) -> None:
    """A number longer than Python prints is no count, and no crash."""
    text = (
        f"{{type: message, model: {number}, usage: {{input_tokens: {number}, output_tokens: 1}}}}"
    )
    head = f"request: {{uri: {number}}}\nresponse:\n  status: {number}\n"
    survive("x.yaml", f"{head}  headers: {{{number}: {number}}}\n  parsed_body: {text}\n".encode())
    survive("x.yaml", f"{head}  parsed_body: {{input_tokens: {number}}}\n".encode())
    survive("x.yaml", f"{head}  parsed_body: {{type: error, error: {{type: {number}}}}}\n".encode())
    survive("x.json", f'{{"type": "message", "usage": {{"input_tokens": {number}}}}}'.encode())

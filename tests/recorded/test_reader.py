"""Every cassette shape in use is read, every trap of the wire is met, every bad file is named."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.recorded import Reading, RecordedCall, read

USAGE = {"input_tokens": 19, "output_tokens": 5}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "text", "text": 'She said "usage": {} — naïve.'}],
    "stop_reason": "end_turn",
    "usage": USAGE,
}
TEXT = json.dumps(MESSAGE, ensure_ascii=False)
STREAM = (
    "event: message_start\n"
    f"data: {json.dumps({'type': 'message_start', 'message': MESSAGE | {'content': []}})}\n\n"
    "event: message_delta\n"
    'data: {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, '
    '"usage": {"output_tokens": 5}}\n\n'
    'event: message_stop\ndata: {"type": "message_stop"       }\n\n'
)
URI = "https://api.anthropic.com/v1/messages?beta=true"
REQUEST = {"method": "POST", "uri": URI, "headers": {}, "body": '{"model": "claude-haiku-4-5"}'}
OK = {"code": 200, "message": "OK"}
HEADERS = {"Content-Type": ["application/json"], "X-Envoy-Upstream-Service-Time": ["962"]}

Read = Callable[[str, str | bytes], Reading]


@pytest.fixture
def read_as(tmp_path: Path) -> Read:
    """Write a file of some name and read it."""

    def write_and_read(name: str, content: str | bytes) -> Reading:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read([path])

    return write_and_read


def only(reading: Reading) -> RecordedCall:
    """Give the one call of a reading that had nothing to remark."""
    assert reading.remarks == ()
    (call,) = reading.calls
    return call


def vcrpy(**response: Any) -> str:
    """Write a cassette as vcrpy does, with one exchange."""
    response = {"status": OK, "headers": HEADERS} | response
    return yaml.safe_dump(
        {"interactions": [{"request": REQUEST, "response": response}], "version": 1},
        allow_unicode=True,
    )


def ruby(body: str, *, tail: str = "recorded_with: VCR 6.3.1\n") -> str:
    """Write a cassette as Ruby's VCR does; the body is YAML text."""
    return f"""---
http_interactions:
- request:
    method: post
    uri: {URI}
    body:
      encoding: UTF-8
      string: '{{"model":"claude-haiku-4-5"}}'
    headers:
      X-Api-Key:
      - REDACTED
  response:
    status:
      code: 200
      message: OK
    headers:
      Server-Timing:
      - x-originResponse;dur=979
      Request-Id:
      - "<REQUEST_ID>"
    body:
      encoding: UTF-8
      string: {body}
  recorded_at: Mon, 05 Oct 2026 15:25:56 GMT
{tail}"""


def folded(text: str) -> str:
    """Put a text into YAML's single quotes, every newline doubled."""
    return "'" + text.replace("'", "''").replace("\n", "\n\n") + "'"


R_VCR = f"""http_interactions:
- request:
    method: POST
    uri: {URI}
    body:
      string: '{{"model":"claude-haiku-4-5"}}'
    headers:
      Accept: application/json
  response:
    status: 200
    headers:
      Content-Type: application/json
      x-envoy-upstream-service-time: '962'
    body:
      string: {folded(TEXT)}
  recorded_at: 2026-10-05 15:25:56
recorded_with: VCR-vcr/2.0.0
"""
R_VCR_BASE64 = R_VCR.replace(
    f"string: {folded(TEXT)}", f"base64_string: {base64.b64encode(TEXT.encode()).decode()}"
)
ONE_OBJECT = {
    "request": {"method": "POST", "url": URI, "headers": {}, "body": REQUEST["body"]},
    "response": {"status": OK, "headers": {"Server-Timing": "proxy;dur=750"}, "body": TEXT},
}
BINARY = base64.b64encode(gzip.compress(TEXT.encode())).decode()

SHAPES: dict[str, tuple[str, str]] = {
    "vcrpy": ("a.yaml", vcrpy(body={"string": TEXT})),
    "vcrpy, stream": ("a.yaml", vcrpy(body={"string": STREAM})),
    "vcrpy, gzip bytes": ("a.yaml", vcrpy(body={"string": gzip.compress(TEXT.encode())})),
    "vcrpy, gzip as latin-1 text": (
        "a.json",
        json.dumps(
            ONE_OBJECT
            | {
                "response": {
                    "status": OK,
                    "body": gzip.compress(TEXT.encode()).decode("latin-1"),
                }
            }
        ),
    ),
    "vcrpy, gzip header on plain text": (
        "a.yaml",
        vcrpy(body={"string": TEXT}, headers={"content-encoding": ["gzip"]}),
    ),
    "vcrpy, JSON serialiser": (
        "a.json",
        json.dumps(
            {
                "version": 1,
                "interactions": [
                    {"request": REQUEST, "response": {"status": OK, "body": {"string": TEXT}}}
                ],
            }
        ),
    ),
    "old vcrpy for httpx": ("a.yaml", vcrpy(content=TEXT, status=None, status_code=200)),
    "parsed body": ("a.yaml", vcrpy(parsed_body=MESSAGE)),
    "typed body, JSON": ("a.yaml", vcrpy(body={"type": "json", "content": MESSAGE})),
    "typed body, text": ("a.yaml", vcrpy(body={"type": "text", "content": STREAM})),
    "bare body": ("a.yaml", vcrpy(body=TEXT)),
    "bare tree": ("a.yaml", vcrpy(body=MESSAGE)),
    "Ruby": ("a.yml", ruby(folded(TEXT))),
    "Ruby, folded stream": ("a.yml", ruby(folded(STREAM))),
    "Ruby, binary with one mark": ("a.yml", ruby(f"!binary |-\n        {BINARY}")),
    "R": ("a.yml", R_VCR),
    "R, base64": ("a.yml", R_VCR_BASE64),
    "one object": ("a.json", json.dumps(ONE_OBJECT)),
    "objects, one a line": ("a.jsonl", json.dumps(ONE_OBJECT) + "\n"),
    "list of objects": ("a.json", json.dumps([ONE_OBJECT])),
    "plain Message": ("a.json", TEXT),
    "plain Message, indented": ("message", json.dumps(MESSAGE, indent=2)),
    "list of Messages": ("a.json", json.dumps([MESSAGE])),
    "Messages, one a line": ("a.jsonl", TEXT + "\n"),
    "raw stream": ("a.txt", STREAM),
    "raw stream, other line ends": ("a.sse", STREAM.replace("\n", "\r\n")),
    "with a byte-order mark": ("a.json", "\ufeff" + TEXT),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_same_call(shape: str, read_as: Read) -> None:
    """However a reply was kept, its model, end, tokens and cost are the same."""
    call = only(read_as(*SHAPES[shape]))
    assert (call.kind, call.model, call.stop_reason) == (
        "message",
        "claude-haiku-4-5-20251001",
        "end_turn",
    )
    assert (call.input_tokens, call.output_tokens) == (19, 5)
    assert str(call.cost_usd) == "0.00004400"
    assert call.status == (None if call.latency_s is None and "vcrpy" not in shape else 200)
    assert call.exchange == 1


def test_a_file_may_be_gzipped_itself(read_as: Read) -> None:
    """The magic number tells, not the name."""
    assert only(read_as("a.bin", gzip.compress(vcrpy(body={"string": TEXT}).encode()))).input_tokens


@pytest.mark.parametrize(
    ("shape", "seconds"),
    [("vcrpy", 0.962), ("Ruby", 0.979), ("R", 0.962), ("one object", 0.75), ("raw stream", None)],
)
def test_latency_is_found_under_any_spelling_of_its_header(
    shape: str, seconds: float | None, read_as: Read
) -> None:
    """Names in any case, values in lists or plain, milliseconds made seconds."""
    assert only(read_as(*SHAPES[shape])).latency_s == seconds


@pytest.mark.parametrize(
    "headers",
    [
        {"server-timing": ["nothing here"]},
        {"x-envoy-upstream-service-time": ["soon"]},
        {"x-envoy-upstream-service-time": ["nan"]},
        {"x-envoy-upstream-service-time": ["-3"]},
        {"x-envoy-upstream-service-time": []},
        {"x-envoy-upstream-service-time": None},
        ["not", "a", "mapping"],
    ],
)
def test_a_latency_nobody_can_read_is_none(headers: object, read_as: Read) -> None:
    """A strange header costs no more than itself."""
    call = only(read_as("a.yaml", vcrpy(body={"string": TEXT}, headers=headers)))
    assert call.latency_s is None


@pytest.mark.parametrize(
    ("status", "number"),
    [
        ({"code": 200, "message": ""}, 200),
        ({"code": "200"}, 200),
        ({"status_code": 200}, 200),
        (200, 200),
        ("200", 200),
        ("two hundred", None),
        (True, None),
        (99999, None),
        (None, None),
    ],
)
def test_status_is_found_in_any_form(status: object, number: int | None, read_as: Read) -> None:
    """A mapping, a number or a text; what is no status is none."""
    assert only(read_as("a.yaml", vcrpy(body={"string": TEXT}, status=status))).status == number


def test_header_names_that_are_python_objects_are_read(read_as: Read) -> None:
    """Some recorders leave their library's types in the YAML."""
    text = vcrpy(body={"string": TEXT}).replace(
        "      X-Envoy-Upstream-Service-Time:\n",
        "      ? !!python/object/apply:multidict._multidict.istr\n"
        "      - X-Envoy-Upstream-Service-Time\n      :\n",
    )
    assert "istr" in text
    assert only(read_as("a.yaml", text)).latency_s == 0.962


def test_repeats_of_a_request_are_each_counted_in_order(read_as: Read) -> None:
    """The same request may be refused, refused again and answered."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    answers = [
        {"status": {"code": 529, "message": ""}, "body": {"string": json.dumps(error)}},
        {"status": OK, "body": {"string": TEXT}},
        {"status": OK, "body": {"string": TEXT}},
    ]
    exchanges = [{"request": REQUEST, "response": answer} for answer in answers]
    reading = read_as("a.yaml", yaml.safe_dump({"interactions": exchanges}))
    assert [(call.exchange, call.status) for call in reading.calls] == [
        (1, 529),
        (2, 200),
        (3, 200),
    ]
    assert reading.calls[0].model == "claude-haiku-4-5"
    assert reading.calls[0].note == "overloaded_error: Overloaded"


def test_a_placeholder_in_a_value_spoils_nothing(read_as: Read) -> None:
    """Ruby's recorder may have replaced any text, even the name of a region."""
    usage = USAGE | {"inference_geo": "<GOOGLE_CLOUD_LOCATION>"}
    call = only(read_as("a.yml", ruby(folded(json.dumps(MESSAGE | {"usage": usage})))))
    assert call.inference_geo == "<GOOGLE_CLOUD_LOCATION>"
    assert call.cost_usd is not None


def test_a_null_request_body_is_no_trouble(read_as: Read) -> None:
    """A GET has none."""
    exchange = {"request": {"method": "GET", "uri": URI, "body": None}, "response": {"status": OK}}
    call = only(read_as("a.yaml", yaml.safe_dump({"interactions": [exchange]})))
    assert call.kind == "other"
    assert "not a reply of the Messages API" in str(call.note)


def test_directories_are_opened_and_hidden_files_left_alone(tmp_path: Path) -> None:
    """A folder stands for all files in it, at any depth."""
    for name in ("b.json", "deep/er/a.json", ".hidden/c.json", ".d.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TEXT)
    files = [Path(call.file).relative_to(tmp_path).as_posix() for call in read([tmp_path]).calls]
    assert files == ["b.json", "deep/er/a.json"]


UNREADABLE: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("a.yaml", "", "It is empty"),
    "blank": ("a.json", " \n\n", "It is empty"),
    "binary": ("a.yaml", b"\x89PNG\r\n\x1a\n\0\0", "It is binary, not text"),
    "not UTF-8": ("a.json", b'{"type": "caf\xe9"}', "It is binary, not text"),
    "cut gzip": ("a.gz", gzip.compress(TEXT.encode())[:40], "Its gzip data is cut short"),
    "cut in a quoted text": ("a.yaml", vcrpy(body={"string": TEXT})[:300], "It is not whole YAML"),
    "cut Ruby": ("cassette", ruby(folded(TEXT))[:600], "It is not whole YAML"),
    "cut JSON": ("a.json", json.dumps(ONE_OBJECT)[:-20], "It is not whole JSON"),
    "cut Message of no suffix": ("message", TEXT[:-3], "It is not whole JSON"),
    "cut JSON Lines, first line": ("a.jsonl", TEXT[:-3], "It is not whole JSON"),
    "nested absurdly": ("a.json", "[" * 100_000, "It is not whole JSON"),
    "nested absurdly, YAML": ("a.yaml", "[" * 100_000, "It is not whole YAML"),
}


@pytest.mark.parametrize("fault", UNREADABLE)
def test_an_unreadable_file_is_one_sentence_that_helps(fault: str, read_as: Read) -> None:
    """It says what happened and what to do, and the exit code is 2."""
    name, content, begins = UNREADABLE[fault]
    reading = read_as(name, content)
    (remark,) = reading.remarks
    assert remark.sentence.startswith(begins)
    assert "; " in remark.sentence
    assert remark.sentence.endswith(".")
    assert "\n" not in remark.sentence
    assert remark.failed
    assert reading.exit_code == 2
    assert reading.calls == ()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The usual slip: a wrong path."""
    (remark,) = read([tmp_path / "nowhere.yaml"]).remarks
    assert "No such file" in remark.sentence
    assert remark.file.endswith("nowhere.yaml")
    assert remark.failed


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    """Nothing to read is not silence."""
    (remark,) = read([tmp_path]).remarks
    assert remark.sentence == "The folder holds no files; name one that does."


def test_files_beside_an_unreadable_one_are_still_read(tmp_path: Path) -> None:
    """One bad file spoils the exit code, not the ledger."""
    (tmp_path / "a.json").write_text("{")
    (tmp_path / "b.json").write_text(TEXT)
    reading = read([tmp_path])
    assert [Path(call.file).name for call in reading.calls] == ["b.json"]
    assert [Path(remark.file).name for remark in reading.remarks] == ["a.json"]
    assert reading.exit_code == 2


CUT: dict[str, tuple[str, str, int]] = {
    "before a response": (
        "a.yaml",
        vcrpy(body={"string": TEXT}).replace("version: 1\n", "- request:\n    method: POST\n"),
        1,
    ),
    "inside a response": (
        "a.yaml",
        vcrpy(body={"string": TEXT}).replace(
            "version: 1\n", "- request: {method: POST}\n  response:\n    body: {string: ''}\n"
        ),
        2,
    ),
    "JSON Lines": ("a.jsonl", f"{TEXT}\n{TEXT[:-5]}", 1),
    "raw stream": ("a.sse", STREAM[: STREAM.index("message_delta") + 60], 1),
}


@pytest.mark.parametrize("place", CUT)
def test_what_a_cut_file_still_holds_is_shown_and_the_cut_is_said(
    place: str, read_as: Read
) -> None:
    """The calls before the break are good; the file as a whole is not."""
    name, content, calls = CUT[place]
    reading = read_as(name, content)
    assert len(reading.calls) == calls
    assert reading.calls[0].input_tokens == 19
    (remark,) = reading.remarks
    assert remark.sentence.startswith("It is cut short: ")
    assert reading.exit_code == 2


def test_the_tokens_of_a_cut_stream_have_no_price(read_as: Read) -> None:
    """Its output was never told."""
    (call,) = read_as("a.sse", STREAM[: STREAM.index("message_delta") + 60]).calls
    assert call.cost_usd is None
    assert "the stream ends before its final usage" in str(call.note)


NO_RECORDINGS = {
    "a.md": "# Notes\n\nSome - text: with [marks].\n",
    "a.csv": "file,kind\nx,message\n",
    "a.yaml": "version: 2\nupdates: []\n",
    "a.yml": "interactions: []\n",
    "a.json": '{"name": "package"}',
    "b.json": "[1, 2, null]",
    "c.json": "3",
    "a.py": "import os\n",
    "a.txt": "data: not an event of any API\n",
}


@pytest.mark.parametrize("name", NO_RECORDINGS)
def test_a_file_that_is_no_recording_is_passed_over(name: str, tmp_path: Path) -> None:
    """It gets a line, and fails nothing as long as another file holds a call."""
    path, other = tmp_path / name, tmp_path / "message.txt"
    path.write_text(NO_RECORDINGS[name])
    other.write_text(TEXT)
    reading = read([path, other])
    (remark,) = reading.remarks
    assert not remark.failed
    assert "holds no recorded call" in remark.sentence
    assert reading.exit_code == 0
    assert read([path]).exit_code == 2

"""The recordings read a second time, crudely and without the reader: the tokens must agree.

This reading knows nothing of shapes or schemas.  It takes each body as text, finds every
`"usage":` in it, and lets the last one win in a stream.
"""

from __future__ import annotations

import base64
import csv
import gzip
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.recorded import Reading, RecordedCall, read

FOLDER = Path("../shared/recordings")
COUNTS = (
    "input_tokens",
    "output_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
)
NAMES = [path.name for path in sorted(FOLDER.glob("*--*"))] or ["absent"]

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the recordings are not beside the repo"
)


@pytest.fixture(scope="module")
def reading() -> Reading:
    """Everything in the folder, as a shell's `*` would pass it."""
    return read(sorted(FOLDER.iterdir()))


def bodies(path: Path) -> list[tuple[int, str]]:
    """Give status and body text of each exchange, by the crudest means."""
    text = path.read_text()
    document = json.loads(text) if path.suffix == ".json" else yaml.load(text, yaml.BaseLoader)  # noqa: S506 - builds text only
    exchanges = document.get("interactions") or document.get("http_interactions") or [document]
    found = []
    for exchange in exchanges:
        response = exchange["response"]
        body = response.get("parsed_body", response.get("body"))
        if isinstance(body, dict) and "string" in body:
            body = body["string"]
        text = body if isinstance(body, str) else json.dumps(body)
        if text.startswith("H4sI"):  # base64 of the magic number of gzip
            text = gzip.decompress(base64.b64decode(text)).decode()
        found.append((int(response["status"]["code"]), text))
    return found


def usages(text: str) -> list[dict[str, Any]]:
    """Find every usage object of a body; in a stream they add up to one, the last word winning."""
    decoder = json.JSONDecoder()
    found = [
        decoder.raw_decode(text, match.end())[0]
        for match in re.finditer(r'"usage"\s*:\s*(?=\{)', text)
    ]
    if not text.startswith("event:") or not found:
        return found
    merged: dict[str, Any] = {}
    for usage in found:
        merged |= usage
    return [merged]


def told(usage: dict[str, Any]) -> dict[str, int]:
    """Reduce a usage object to numbers."""
    sub_calls = [entry for entry in usage.get("iterations", []) if entry["type"] != "message"]
    inputs = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return {name: int(usage.get(name, 0)) for name in COUNTS} | {
        "web_search_requests": int(usage.get("server_tool_use", {}).get("web_search_requests", 0)),
        "extra_input_tokens": sum(int(entry[name]) for entry in sub_calls for name in inputs),
        "extra_output_tokens": sum(int(entry["output_tokens"]) for entry in sub_calls),
    }


def calls_of(reading: Reading, name: str) -> list[RecordedCall]:
    """Give the reader's calls of one file."""
    return [call for call in reading.calls if Path(call.file).name == name]


@pytest.mark.parametrize("name", NAMES)
def test_tokens_equal_an_independent_reading(reading: Reading, name: str) -> None:
    """File by file, both readings find the same calls with the same tokens."""
    expected = [told(usage) for _, text in bodies(FOLDER / name) for usage in usages(text)]
    used = [call for call in calls_of(reading, name) if call.used_tokens]
    assert [{field: getattr(call, field) for field in told({})} for call in used] == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_lifetimes_of_cache_writes_equal_an_independent_reading(
    reading: Reading, name: str
) -> None:
    """The split is the one sent with the reply's first usage, None where none was sent."""
    used = [call for call in calls_of(reading, name) if call.used_tokens]
    texts = [text for _, text in bodies(FOLDER / name) for _ in usages(text)]
    for call, text in zip(used, texts, strict=True):
        if call.cache_creation_input_tokens:
            sent = dict(re.findall(r'"ephemeral_(5m|1h)_input_tokens"\s*:\s*"?(\d+)', text)[:2])
            lifetimes = (call.ephemeral_5m_input_tokens, call.ephemeral_1h_input_tokens)
            assert lifetimes == ((int(sent["5m"]), int(sent["1h"])) if sent else (None, None))


@pytest.mark.parametrize("name", NAMES)
def test_every_exchange_has_its_row_with_its_status(reading: Reading, name: str) -> None:
    """No exchange is lost; only batch results give more rows than one."""
    rows = calls_of(reading, name)
    statuses = [status for status, _ in bodies(FOLDER / name)]
    firsts = {call.exchange: call.status for call in reversed(rows)}
    assert [firsts[number] for number in sorted(firsts)] == statuses
    assert len(rows) == len(statuses) or any(call.kind == "batch_result" for call in rows)


def test_all_files_of_the_manifest_are_read(reading: Reading) -> None:
    """All 94 are there, and nothing failed."""
    with (FOLDER / "MANIFEST.csv").open() as lines:
        listed = {row["file"] for row in csv.DictReader(lines)}
    assert len(listed) == 94
    assert {Path(call.file).name for call in reading.calls} == listed
    assert reading.exit_code == 0


def test_every_row_is_priced_or_says_why_not(reading: Reading) -> None:
    """A missing cost always comes with a reason."""
    assert all(call.note for call in reading.calls if call.cost_usd is None)
    assert sum(call.cost_usd is not None for call in reading.calls) > 100


def test_files_that_are_no_recordings_get_one_line_each(reading: Reading) -> None:
    """The list and the notes beside the recordings are passed over, and it is said."""
    passed_over = {Path(remark.file).name: remark.failed for remark in reading.remarks}
    assert passed_over == {"MANIFEST.csv": False, "WIRE-FORMAT.md": False}


@pytest.mark.parametrize(
    ("name", "dollars"),
    [
        # Sonnet 4: 17 x 3 + 2,056 written for an hour x 6 + 100 x 15
        ("dd-trace-py--cache_1h_write.yaml", ["0.013887"]),
        # Sonnet 4: 11 x 3 + 1,031 read x 0.30 + 100 x 15
        ("dd-trace-py--cache_stream_read.yaml", ["0.0018423"]),
        # Sonnet 4: 18 x 3 + 1,031 written x 3.75 + 100 x 15, the lifetime assumed
        ("dd-trace-py--cache_stream_write.yaml", ["0.00542025"]),
        # Haiku 4.5 in a batch: (20 x 1 + 5 x 5) / 2 and (19 x 1 + 4 x 5) / 2
        ("ruby_llm--batch_create_poll_results.yml", [*[None] * 11, "0.0000225", "0.0000195"]),
        # Opus 5: nothing but a compaction of 82 x 5 + 512 x 25
        ("braintrust-python--compaction_on_request_max_tokens.yaml", ["0.01321"]),
        # Sonnet 4.6: 172 x 3 + 5 x 15, and a compaction of 100 x 3 + 55,096 x 3.75 + 71 x 15
        ("pydantic-ai--compaction_stream_with_cache.yaml", ["0.208566"]),
        # Sonnet 5: 2,411 x 2 + 145 x 10, and advice from Opus 4.8 of 2,543 x 5 + 18 x 25
        ("pydantic-ai--server_tool_advisor_stream_sonnet_5.yaml", ["0.019437"]),
        # Sonnet 4.5: 404,500 x 3 + 943 x 15 and ten searches, then 482,529, 1,310 and five
        ("pydantic-ai--stream_pause_turn_web_search.yaml", ["1.327645", "1.517237"]),
        # Sonnet 5: reads 0.20, five-minute writes 2.50; the file's upload and deletion are no calls
        (
            "pydantic-ai--cache_5m_code_execution_files_sonnet_5.yaml",
            [None, "0.0104256", "0.0067983", None],
        ),
    ],
)
def test_costs_of_recordings_worked_out_by_hand(
    reading: Reading, name: str, dollars: list[str | None]
) -> None:
    """The dearest and oddest recordings cost what a pencil says."""
    expected = [None if text is None else Decimal(text) for text in dollars]
    assert [call.cost_usd for call in calls_of(reading, name)] == expected

"""A verified fake: what the simulated API sends, held against recordings of the real one.

Every difference stands in a list below with its reason, and an entry that explains nothing any
more fails as well.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import yaml

from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply

RECORDINGS = Path("../shared/recordings")
pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the recordings of the real API are not here"
)

TRANSPORT = "how the bytes travel, which the client's own HTTP layer deals with"
EDGE = "put on by the network in front of the API"
OTHER_BLOCKS = "only where tools or thinking are asked for, and the request here asks for neither"
ON_REQUEST = "only where a feature is asked for that the simulator does not have"
REFUSAL = "only where a fault scripts a refusal"
HEADERS_LEFT_OUT = {
    "connection": TRANSPORT,
    "transfer-encoding": TRANSPORT,
    "content-length": TRANSPORT,
    "content-encoding": TRANSPORT,
    "vary": TRANSPORT,
    "strict-transport-security": EDGE,
    "content-security-policy": EDGE,
    "x-robots-tag": EDGE,
    "cf-cache-status": EDGE,
    "cf-ray": EDGE,
    "server": EDGE,
    "server-timing": EDGE,
    "via": EDGE,
    "traceresponse": EDGE,
    "x-cloud-trace-context": EDGE,
    "set-cookie": EDGE,
}
HEADERS_SOMETIMES = {
    "retry-after": "on some answers with status 200, where it means nothing; ours has it on 429",
    "cache-control": "on one 529 only; ours has it on streams",
}
RETRY_AFTER = {"retry-after": HEADERS_SOMETIMES["retry-after"]}
SENT_EVERYWHERE = {"x-envoy-upstream-service-time", "request-id", "date"}
"""In many recordings; ours sends them with every answer, so that a replay knows its times."""
NEWER = {
    429: ("anthropic-workspace-id", "anthropic-ratelimit-output-tokens-"),
    529: ("anthropic-workspace-id",),
}
"""Newer than the recordings of these errors: the workspace since 2026-08, and since 2025-06 a
429 has been quoted in public with all twelve limits."""
RETRY_ADVICE_DIFFERS = {
    500: "the one recorded says false; the documentation says a 500 is worth a retry, and so do we"
}
KEYS_LEFT_OUT = {
    ".content[].thinking": OTHER_BLOCKS,
    ".content[].signature": OTHER_BLOCKS,
    ".content[].input": OTHER_BLOCKS,
    ".content[].name": OTHER_BLOCKS,
    ".content[].id": OTHER_BLOCKS,
    ".content[].content": OTHER_BLOCKS,
    ".content[].tool_use_id": OTHER_BLOCKS,
    ".content[].caller": OTHER_BLOCKS,
    ".content[].citations": ON_REQUEST,
    ".container": ON_REQUEST,
    ".diagnostics": ON_REQUEST,
    ".context_management": ON_REQUEST,
    ".input_transformations": ON_REQUEST,
    ".usage.iterations": ON_REQUEST,
    ".usage.server_tool_use": ON_REQUEST,
    ".usage.output_tokens_details": OTHER_BLOCKS,
    ".stop_details.": REFUSAL,
}
EVENT_KEYS_LEFT_OUT = {
    ".content_block.": OTHER_BLOCKS,
    ".delta.partial_json": OTHER_BLOCKS,
    ".delta.thinking": OTHER_BLOCKS,
    ".delta.signature": OTHER_BLOCKS,
    ".delta.content": ON_REQUEST,
    ".delta.citation": ON_REQUEST,
    ".delta.container": ON_REQUEST,
    ".context_management": ON_REQUEST,
    ".message.input_transformations": ON_REQUEST,
    ".usage.iterations": ON_REQUEST,
    ".usage.server_tool_use": ON_REQUEST,
    ".usage.output_tokens_details": OTHER_BLOCKS,
}
BODY: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "How does a queue fill up?"}],
}


@dataclass(frozen=True)
class Exchange:
    """One recorded answer; `headers` is None where the recording left most of them out."""

    kind: str
    status: int
    headers: Mapping[str, str] | None
    body: str


def exchanges() -> Iterator[Exchange]:
    """Read the answers to Messages and token counting out of every recording."""
    for path in sorted([*RECORDINGS.glob("*.yaml"), *RECORDINGS.glob("*.yml")]):
        data = yaml.load(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        for each in data.get("interactions") or data["http_interactions"]:
            url, answer = each["request"]["uri"], each["response"]
            if not re.search(r"/v1/messages(/count_tokens)?(\?|$)", url):
                continue
            headers = {name.lower(): value[0] for name, value in answer["headers"].items()}
            status = answer["status"]["code"]
            streamed = headers.get("content-type", "").startswith("text/event-stream")
            kind = "count" if "count_tokens" in url else "stream" if streamed else "plain"
            if status >= 400:
                kind = "error"
            yield Exchange(kind, status, headers if "date" in headers else None, _text(answer))


def _text(answer: Mapping[str, Any]) -> str:
    if "parsed_body" in answer:
        return json.dumps(answer["parsed_body"])
    raw = answer["body"]["string"]
    if isinstance(raw, bytes):
        raw = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    return str(raw)


@pytest.fixture(scope="module")
def recorded() -> list[Exchange]:
    """Return every recorded answer."""
    return list(exchanges())


def simulated(kind: str, fault: str | None = None, **change: Any) -> Reply:
    """Return a simulated answer of a kind."""
    path = "/v1/messages/count_tokens" if kind == "count" else "/v1/messages"
    body = {**BODY, **({"stream": True} if kind == "stream" else {}), **change}
    if kind == "count":
        del body["max_tokens"]
    wait = 7 if fault == "rate_limited" else None
    api = SimulatedApi(faults=[Fault(fault, retry_after=wait)] if fault else [])
    key = {} if body.pop("no_key", False) else {"authorization": "Bearer k"}
    headers = {**key, "anthropic-version": "2026-10-21"}
    return api.reply("POST", path, headers, json.dumps(body).encode(), 0.0)


def key_paths(value: Any, at: str = "") -> Iterator[str]:
    """List the path of every key in a JSON value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield f"{at}.{key}"
            yield from key_paths(inner, f"{at}.{key}")
    elif isinstance(value, list):
        for inner in value:
            yield from key_paths(inner, f"{at}[]")


def unexplained(missing: set[str], reasons: Mapping[str, str]) -> list[str]:
    """List what no reason explains; a reason that explains nothing is listed as well."""
    idle = [prefix for prefix in reasons if not any(each.startswith(prefix) for each in missing)]
    loose = [each for each in missing if not each.startswith(tuple(reasons))]
    return sorted(loose + [f"explains nothing: {prefix}" for prefix in idle])


def events(body: str) -> list[tuple[str, dict[str, Any]]]:
    """Read the frames of a stream as (name, data)."""
    frames = body.removesuffix("\n\n").split("\n\n")
    pairs = [frame.split("\n") for frame in frames]
    return [(name[7:], json.loads(data[6:])) for name, data in pairs]


def pattern(body: str) -> str:
    """Spell the order of events, one letter each, deltas in a row as one."""
    letters = {"content_block_delta": "D", "content_block_start": "B", "content_block_stop": "E"}
    letters |= {"message_start": "S", "message_delta": "M", "message_stop": "Z"}
    spelled = [letters.get(name, name[0]) for name, _ in events(body)]
    return "".join(letter for letter, _ in groupby(spelled))


def test_message_keys_are_the_real_ones(recorded: list[Exchange]) -> None:
    """A simulated message has no key that real ones lack, and lacks none without a reason."""
    real = {path for each in recorded if each.kind == "plain" for path in _paths(each.body)}
    ours = set(_paths(simulated("plain").body.decode()))
    assert ours - real == set()
    assert unexplained(real - ours, {**KEYS_LEFT_OUT}) == []


def _paths(body: str) -> Iterator[str]:
    for path in key_paths(json.loads(body)):
        if not re.match(r"\.content\[\]\.input\.", path):  # a tool's own argument
            yield path


def test_token_count_is_the_real_one(recorded: list[Exchange]) -> None:
    """A count is one number and nothing else."""
    real = {path for each in recorded if each.kind == "count" for path in _paths(each.body)}
    assert set(_paths(simulated("count").body.decode())) == real


def test_events_have_the_real_keys(recorded: list[Exchange]) -> None:
    """Each kind of event has the keys it has in recordings, or a reason why not."""
    missing: set[str] = set()
    ours = _event_paths([simulated("stream").body.decode()])
    real = _event_paths([each.body for each in recorded if each.kind == "stream"])
    for name, paths in ours.items():
        assert paths - real[name] == set(), name
        missing |= real[name] - paths
    assert set(real) - set(ours) == {"error"}
    assert unexplained(missing, EVENT_KEYS_LEFT_OUT) == []


def _event_paths(bodies: list[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for body in bodies:
        for name, data in events(body):
            assert data["type"] == name
            found.setdefault(name, set()).update(key_paths(data))
    return found


def test_the_order_of_events_is_the_commonest_real_one(recorded: list[Exchange]) -> None:
    """Start, block, ping, deltas, end: as in most recorded streams of text."""
    seen = [pattern(each.body) for each in recorded if each.kind == "stream"]
    assert pattern(simulated("stream").body.decode()) == max(set(seen), key=seen.count)


def test_frames_are_spelled_as_the_real_ones(recorded: list[Exchange]) -> None:
    """Lines end in a line feed, frames in two, and the ping is equal byte for byte."""
    ours = simulated("stream").body.decode()
    frame = re.compile(r"event: \w+\ndata: \{.*\}")
    streams = [each.body for each in recorded if each.kind == "stream"]
    for body in (ours, *streams):
        assert body.endswith("\n\n")
        assert all(frame.fullmatch(each) for each in body[:-2].split("\n\n"))
    pings = {f for body in streams for f in body.split("\n\n") if f.startswith("event: ping")}
    assert pings == {f for f in ours.split("\n\n") if f.startswith("event: ping")}


def test_message_start_promises_little_and_message_delta_tells_all(
    recorded: list[Exchange],
) -> None:
    """The first usage has a few output tokens, the last one all of them."""
    for body in [simulated("stream").body.decode()] + [e.body for e in recorded]:
        if not body.startswith("event: message_start"):
            continue
        told = events(body)
        first = told[0][1]["message"]["usage"]["output_tokens"]
        last = [data for name, data in told if name == "message_delta"][-1]
        assert 0 <= first < 100
        assert last["usage"]["output_tokens"] >= 1


@pytest.mark.parametrize("kind", ["plain", "stream", "count"])
def test_headers_are_the_real_ones(recorded: list[Exchange], kind: str) -> None:
    """Ours are never invented, and none is left out without a reason."""
    ours = set(simulated(kind).headers)
    assert ours - header_names(recorded, kind) <= SENT_EVERYWHERE
    reasons = (*HEADERS_LEFT_OUT, *HEADERS_SOMETIMES)
    left_out = header_names(recorded, kind) - ours
    assert [name for name in left_out if not name.startswith(reasons)] == []


def test_every_reason_for_a_missing_header_is_needed(recorded: list[Exchange]) -> None:
    """A header that is simulated one day must leave the list."""
    real = {name for each in recorded for name in each.headers or {}}
    ours = {name for kind in ("plain", "stream", "count") for name in simulated(kind).headers}
    assert unexplained(real - ours - {"x-should-retry"}, HEADERS_LEFT_OUT | RETRY_AFTER) == []


def header_names(recorded: list[Exchange], kind: str, status: int = 200) -> set[str]:
    """List the header names of recorded answers of a kind."""
    alike = [each for each in recorded if (each.kind, each.status) == (kind, status)]
    return {name for each in alike for name in each.headers or {}}


ERRORS: dict[int, dict[str, Any]] = {
    400: {"messages": [{"role": "user", "content": "x" * 3_000_000}]},
    401: {"no_key": True},
    404: {"model": "claude-nonsense"},
    429: {"fault": "rate_limited"},
    500: {"fault": "internal"},
    529: {"fault": "overloaded"},
}


@pytest.mark.parametrize("status", ERRORS)
def test_errors_have_the_real_shape(recorded: list[Exchange], status: int) -> None:
    """Status, keys and type of an error are the recorded ones, and so are its headers' names."""
    reply = simulated("plain", **ERRORS[status])
    alike = [each for each in recorded if each.status == status]
    assert reply.status == status
    assert set(_paths(reply.body.decode())) in [set(_paths(each.body)) for each in alike] + [
        {*_paths(alike[0].body), ".request_id"}
    ]
    types = {json.loads(each.body)["error"]["type"] for each in alike}
    assert json.loads(reply.body)["error"]["type"] in types
    real = header_names(recorded, "error", status)
    added = {
        name for name in set(reply.headers) - real if not name.startswith(NEWER.get(status, ("-",)))
    }
    assert not real or added <= SENT_EVERYWHERE
    left_out = real - set(reply.headers)
    assert not [n for n in left_out if not n.startswith((*HEADERS_LEFT_OUT, *HEADERS_SOMETIMES))]


@pytest.mark.parametrize(
    ("status", "wording"), [(500, "Internal server error"), (529, "Overloaded")]
)
def test_errors_have_the_real_wording(recorded: list[Exchange], status: int, wording: str) -> None:
    """Where an error always says the same, ours says it too."""
    real = {json.loads(e.body)["error"]["message"] for e in recorded if e.status == status}
    ours = simulated("plain", **ERRORS[status])
    assert {json.loads(ours.body)["error"]["message"]} == real == {wording}


def test_whether_to_retry_is_said_as_the_real_api_says_it(recorded: list[Exchange]) -> None:
    """`x-should-retry` agrees with the recordings for each status, but for the reasons listed."""
    for status, change in ERRORS.items():
        real = {
            each.headers["x-should-retry"]
            for each in recorded
            if each.status == status and each.headers and "x-should-retry" in each.headers
        }
        ours = simulated("plain", **change).headers.get("x-should-retry")
        agrees = ours in real or not real
        assert agrees != (status in RETRY_ADVICE_DIFFERS), status


def test_an_error_event_is_the_recorded_one(recorded: list[Exchange]) -> None:
    """An overload inside a stream comes alone, with the recorded keys and today's request id."""
    real = [each for each in recorded if each.body.startswith("event: error")]
    ours = events(simulated("stream", fault="stream_error").body.decode())
    assert [name for name, _ in ours] == ["error"]
    keys = {path for each in real for path in key_paths(events(each.body)[0][1])}
    assert set(key_paths(ours[0][1])) == keys | {".request_id"}
    assert ours[0][1]["error"] == events(real[0].body)[0][1]["error"]


def test_a_prompt_that_is_too_long_says_so_in_the_real_words(recorded: list[Exchange]) -> None:
    """The refusal names both figures as the recorded one does."""
    wording = re.compile(r"prompt is too long: \d+ tokens > \d+ maximum")
    real = [json.loads(each.body)["error"]["message"] for each in recorded if each.status == 400]
    ours = json.loads(simulated("plain", **ERRORS[400]).body)["error"]["message"]
    assert wording.fullmatch(ours)
    assert any(wording.fullmatch(each) for each in real)

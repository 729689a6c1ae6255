"""A composed answer on the wire: the whole message, its events, and what the SDK makes of them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic
from hypothesis import given
from hypothesis import strategies as st

from labkit.clock import VirtualClock
from labkit.recorded.body import text_of
from labkit.recorded.exchange import exchanges
from labkit.recorded.tolerant_yaml import read_yaml
from labkit.sim.answers import Composed, Said, compose
from labkit.sim.events import stream_chunks
from labkit.sim.messages import build_message
from labkit.sim.prompt_cache import Plan
from labkit.sim.reply import Reply
from labkit.sim.transport import ReplyTransport

RECORDINGS = Path("../shared/recordings")
UNCACHED = Plan(50, 0, 0, 0, None, ())
BODY: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 5000,
    "messages": [{"role": "user", "content": "Why do queues grow?"}],
}
CALL = {"type": "tool_use", "name": "get_weather", "input": {"city": "Zürich", "days": [1, 2]}}
BARE = {"type": "tool_use", "name": "now", "input": {}}
THOUGHT = {"type": "thinking", "thinking": "Queues grow when more comes in than goes out."}
OMITTED = {"type": "thinking", "thinking": ""}
TEXT = {"type": "text", "text": "Because nobody measures them, and then it is too late."}

short = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
blocks = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, short),
    st.builds(lambda text: {"type": "thinking", "thinking": text}, short),
    st.builds(
        lambda value: {"type": "tool_use", "name": "now", "input": value},
        st.dictionaries(short, short | st.integers() | st.none(), max_size=3),
    ),
    st.builds(lambda data: {"type": "redacted_thinking", "data": data}, short),
)


def composed(*content: Mapping[str, Any], **change: Any) -> Composed:
    """Compose these very blocks."""
    return compose({**BODY, **change}, random.Random(0), script={1: Said(content)})


def message(*content: Mapping[str, Any], plan: Plan = UNCACHED, **change: Any) -> dict[str, Any]:
    """Return the whole message that holds these blocks."""
    return build_message({**BODY, **change}, composed(*content, **change), plan, "msg_sim1")


def chunks(whole: Mapping[str, Any]) -> list[tuple[float, bytes]]:
    """Return the events of a message, with a first token at 1 s and ten more a second."""
    return list(stream_chunks(whole, 1.0, 0.1, random.Random(0)))


def events(text: str) -> list[dict[str, Any]]:
    """Read the events of a stream."""
    return [json.loads(data) for data in re.findall(r"^data: (.*)$", text, re.MULTILINE)]


def told(whole: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the events of a message."""
    return events(b"".join(data for _, data in chunks(whole)).decode())


def deltas(whole: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return its deltas."""
    return [each["delta"] for each in told(whole) if each["type"] == "content_block_delta"]


def test_usage_says_how_the_prompt_was_billed() -> None:
    """Cache reads and writes come from the caller, and what was written is told by lifetime."""
    plan = Plan(uncached=5, read=700, written_5m=20, written_1h=300, hit=None, writes=())
    usage = build_message(BODY, composed(TEXT), plan, "msg_sim1", tier="batch")["usage"]
    assert usage["input_tokens"] == 5
    assert usage["cache_read_input_tokens"] == 700
    assert usage["cache_creation_input_tokens"] == 320
    assert usage["cache_creation"] == {
        "ephemeral_5m_input_tokens": 20,
        "ephemeral_1h_input_tokens": 300,
    }
    assert usage["service_tier"] == "batch"


@pytest.mark.parametrize(
    ("change", "name", "geography"),
    [
        ({}, "claude-sonnet-5-5", "global"),
        ({"inference_geo": "us"}, "claude-sonnet-5-5", "us"),
        ({"inference_geo": None}, "claude-sonnet-5-5", "global"),
        ({"model": "claude-haiku-4-5"}, "claude-haiku-4-5-20251001", "not_available"),
    ],
)
def test_a_message_names_model_and_place_as_the_real_api_does(
    change: dict[str, Any], name: str, geography: str
) -> None:
    """An alias becomes the dated name; models that run anywhere say so."""
    whole = message(TEXT, **change)
    assert whole["model"] == name
    assert whole["usage"]["inference_geo"] == geography


def test_only_thinking_tells_thinking_tokens() -> None:
    """The detail is there where thinking was on, at the end of a stream but not at its start."""
    assert "output_tokens_details" not in message(TEXT, model="claude-haiku-4-5")["usage"]
    assert message(TEXT, thinking={"type": "adaptive"})["usage"]["output_tokens_details"]
    whole = message(THOUGHT, TEXT)
    start, *_, delta, _ = told(whole)
    assert "output_tokens_details" not in start["message"]["usage"]
    assert delta["usage"]["output_tokens_details"] == {"thinking_tokens": 18}


@given(st.lists(blocks, max_size=4))
def test_a_stream_says_what_the_message_says(content: list[dict[str, Any]]) -> None:
    """The SDK puts the events together to the same message; of nothing it makes an empty text."""
    whole = message(*content)
    headers = {"content-type": "text/event-stream; charset=utf-8"}
    http = httpx2.Client(
        transport=ReplyTransport(_Played(Reply(200, headers, tuple(chunks(whole)))), VirtualClock())
    )
    client = Anthropic(api_key="k", http_client=http, max_retries=0)
    with client.messages.stream(**BODY) as stream:
        final = stream.get_final_message()
    said = whole["content"] or [{"type": "text", "text": ""}]
    assert final.to_dict(exclude_unset=True) == {**whole, "content": said}


class _Played:
    """A source that always plays one reply."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:  # noqa: ARG002
        return self.reply


@given(st.lists(blocks, max_size=4))
def test_events_come_in_order_of_time_and_end_with_the_last_token(
    content: list[dict[str, Any]],
) -> None:
    """No event before the one it follows; the end is due when all tokens are out."""
    whole = message(*content)
    times = [at for at, _ in chunks(whole)]
    assert times == sorted(times)
    assert times[0] == 1.0
    assert times[-1] == 1.0 + whole["usage"]["output_tokens"] * 0.1


def test_hidden_thinking_takes_its_time() -> None:
    """Its signature comes when the thinking is over, although nothing of it is shown."""
    whole = message(TEXT, thinking={"type": "adaptive", "display": "omitted"})
    hidden = whole["usage"]["output_tokens_details"]["thinking_tokens"]
    at = next(at for at, data in chunks(whole) if b"signature_delta" in data)
    assert at == pytest.approx(1.0 + hidden * 0.1)


def test_a_tools_input_begins_with_the_empty_string() -> None:
    """Then come pieces of its JSON; an input without arguments has no more than that."""
    pieces = [each["partial_json"] for each in deltas(message(CALL))]
    assert pieces[0] == ""
    assert len(pieces) > 3
    assert json.loads("".join(pieces)) == CALL["input"]
    assert [each["partial_json"] for each in deltas(message(BARE))] == [""]


def test_thinking_is_signed_once_at_its_end() -> None:
    """One signature, after the last word of the thinking."""
    kinds = [each["type"] for each in deltas(message(THOUGHT))]
    assert set(kinds[:-1]) == {"thinking_delta"}
    assert kinds[-1] == "signature_delta"
    assert [each["type"] for each in deltas(message(OMITTED))] == ["signature_delta"]


def test_one_ping_after_the_first_block_has_begun() -> None:
    """Not one for each block."""
    kinds = [each["type"] for each in told(message(THOUGHT, TEXT, CALL))]
    assert kinds[:3] == ["message_start", "content_block_start", "ping"]
    assert kinds.count("ping") == 1


def test_the_start_promises_nothing_and_the_end_tells_all() -> None:
    """No stop reason and few output tokens at first; cumulative usage at last."""
    whole = build_message(
        {**BODY, "stop_sequences": ["measures"]},
        compose(
            {**BODY, "stop_sequences": ["measures"]}, random.Random(0), script={1: Said([TEXT])}
        ),
        Plan(5, 10, 20, 30, None, ()),
        "msg_sim1",
    )
    start, *_, delta, stop = told(whole)
    first = start["message"]
    assert (first["content"], first["stop_reason"], first["stop_sequence"]) == ([], None, None)
    assert 1 <= first["usage"]["output_tokens"] <= 8
    assert delta["delta"] == {
        "stop_reason": "stop_sequence",
        "stop_sequence": "measures",
        "stop_details": None,
    }
    assert delta["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 50,
        "cache_read_input_tokens": 10,
        "output_tokens": whole["usage"]["output_tokens"],
        "output_tokens_details": {"thinking_tokens": 0},
    }
    assert stop == {"type": "message_stop"}


def pattern(text: str) -> str:
    """Spell a stream as WIRE-FORMAT.md does, several deltas of a kind as one, without pings."""
    letters = {"message_start": "S", "message_delta": "M", "message_stop": "Z"}
    letters |= {"content_block_stop": "E", "error": "X"}
    spelled = []
    for event in events(text):
        if event["type"] == "content_block_start":
            spelled.append(f"B({event['content_block']['type']})")
        elif event["type"] == "content_block_delta":
            spelled.append(f"D({event['delta']['type'].removesuffix('_delta')})")
        elif event["type"] != "ping":
            spelled.append(letters[event["type"]])
    return " ".join(letter for letter, _ in groupby(spelled))


def recorded_bodies() -> Iterator[str]:
    """Read the body of every recorded answer."""
    for path in sorted(RECORDINGS.iterdir()):
        if path.suffix not in (".yaml", ".yml", ".json"):
            continue
        for each in exchanges(read_yaml(path.read_text(encoding="utf-8"))) or []:
            if each is not None and each.body is not None and each.status == 200:
                body = text_of(each.body) if isinstance(each.body, bytes) else each.body
                yield body if isinstance(body, str) else json.dumps(body)


@pytest.fixture(scope="module")
def recorded() -> list[str]:
    """Return the body of every recorded answer."""
    if not RECORDINGS.is_dir():
        pytest.skip("the recordings of the real API are not here")
    return list(recorded_bodies())


@pytest.mark.parametrize(
    "content",
    [
        [TEXT],
        [{"type": "text", "text": ""}],
        [THOUGHT, TEXT],
        [THOUGHT, CALL],
        [BARE],
        [TEXT, CALL],
        [TEXT, CALL, CALL],
    ],
    ids=lambda content: " ".join(block["type"] for block in content),
)
def test_events_come_in_an_order_that_was_recorded(
    recorded: list[str], content: list[dict[str, Any]]
) -> None:
    """Each kind of answer has been streamed in just this order by the real API."""
    patterns = {pattern(body) for body in recorded if body.startswith("event: ")}
    ours = pattern(b"".join(data for _, data in chunks(message(*content))).decode())
    assert ours in patterns


def block_keys(body: str) -> Iterator[tuple[str, frozenset[str]]]:
    """List (what, its keys) for the blocks and deltas of a message or a stream."""
    if body.startswith("event: "):
        for event in events(body):
            for name in ("content_block", "delta"):
                if "type" in event.get(name, {}):
                    yield f"{name} {event[name]['type']}", frozenset(event[name])
    elif body.startswith("{"):
        whole = json.loads(body.splitlines()[0])
        for block in whole.get("content", []) if whole.get("type") == "message" else []:
            yield f"block {block['type']}", frozenset(block)


def test_blocks_and_deltas_have_recorded_keys(recorded: list[str]) -> None:
    """Every kind of block, whole or in pieces, has exactly the keys of some real one."""
    real = {each for body in recorded for each in block_keys(body)}
    whole = message(THOUGHT, TEXT, CALL)
    stream = b"".join(data for _, data in chunks(whole)).decode()
    ours = {*block_keys(json.dumps(whole)), *block_keys(stream)}
    assert len(ours) == 10
    assert ours - real == set()


def test_a_message_with_thinking_has_recorded_keys(recorded: list[str]) -> None:
    """Its usage has no key that real ones lack."""
    usages = [
        json.loads(body)["usage"]
        for body in recorded
        if body.startswith("{") and "usage" in json.loads(body.splitlines()[0])
    ]
    real = {key for usage in usages for key in usage}
    ours = message(THOUGHT, TEXT)["usage"]
    assert set(ours) - real == set()
    assert {"thinking_tokens"} == set(ours["output_tokens_details"])

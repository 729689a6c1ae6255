"""What an answer used: read from bodies and streams, told once, never made up."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from labkit.flow import Flow, Outcome, Request, Send, Used
from labkit.metering import StreamMeter, meter_of, read_usage
from labkit.verdict import Watch
from tests.wire import CALL, DELTA, EVENTS, STOP, WORD, answer, event, message, stream
from tests.world import Script, Scripted, World

FULL = {
    "input_tokens": 10,
    "output_tokens": 20,
    "cache_read_input_tokens": 300,
    "cache_creation_input_tokens": 40,
}


class Listening:
    """A layer that wants to know what was used, and writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Used] = []
        self.layer = Scripted(self.course)

    def course(self, request: Request) -> Flow:
        """Send and leave a message."""
        outcome: Outcome = yield Send(request)
        outcome.when_used(self.told.append)
        return outcome


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("way", ["create", "events", "final", "wire_bytes"])
def test_usage_is_told_under_the_sdk(kind: str, way: str) -> None:
    """Of plain answers and streams; not where somebody reads a plain body piece by piece."""
    listening = Listening()
    streamed = way in ("events", "final")

    async def scene(api: Any) -> None:
        await getattr(api, way)()

    World(kind).run(scene, Script(stream(*EVENTS) if streamed else answer()), [listening.layer])
    told = [(used.input_tokens, used.output_tokens) for used in listening.told]
    assert told == ([] if way == "wire_bytes" else [(3, 2)])


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_every_layer_that_asks_is_told_once(kind: str) -> None:
    """Streams that end with several events in one chunk included."""
    one, two = Listening(), Listening()

    async def scene(api: Any) -> None:
        await api.events()

    World(kind).run(scene, Script(stream(b"".join(EVENTS))), [one.layer, two.layer])
    assert one.told == two.told
    assert [(used.input_tokens, used.output_tokens) for used in one.told] == [(3, 2)]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_stream_that_nobody_reads_to_its_end_tells_nothing(kind: str) -> None:
    """Its numbers never came."""
    listening = Listening()

    async def scene(api: Any) -> None:
        opened = await api.result(api.client.messages.create(**{**CALL, "stream": True}))
        await api.result(opened.close())

    World(kind).run(scene, Script(stream(*EVENTS)), [listening.layer])
    assert listening.told == []


def test_a_failed_attempt_tells_nothing() -> None:
    """A fleet's outcome that timed out included."""
    listening: list[Used] = []
    Outcome(status=529).when_used(listening.append)
    Outcome(error=TimeoutError(), unreachable=True).when_used(listening.append)
    assert listening == []


def test_the_last_event_of_a_stream_counts_and_the_first_fills_the_gaps() -> None:
    """The cache counts may stand in either."""
    watch = Watch()
    start = message("", usage={**FULL, "output_tokens": 1})
    watch.feed(event("message_start", message=start))
    meter, told = StreamMeter(watch), list[Used]()
    meter(told.append)
    watch.feed(WORD)
    meter.look()
    assert told == []
    usage = {"output_tokens": 55, "cache_read_input_tokens": None}
    watch.feed(event("message_delta", delta={"stop_reason": "end_turn"}, usage=usage))
    meter.look()
    meter.look()
    assert told == [Used(10, 55, 300, 40, {**FULL, "output_tokens": 55})]
    meter(told.append)
    assert len(told) == 2


def test_a_stream_without_a_start_tells_nothing() -> None:
    """Nor fails."""
    watch, told = Watch(), list[Used]()
    for chunk in (WORD, DELTA, STOP):
        watch.feed(chunk)
    StreamMeter(watch)(told.append)
    assert told == []


@pytest.mark.parametrize("body", [b"", b"not json", b"[]", b'{"usage": null}', b'{"usage": {}}'])
def test_a_body_without_a_usage_tells_nothing(body: bytes) -> None:
    """Nor fails: it may be that of another endpoint."""
    told: list[Used] = []
    meter_of(httpx2.Response(200, content=body))(told.append)
    assert told == []


def test_a_body_is_read_in_full() -> None:
    """All four counts."""
    told: list[Used] = []
    body = json.dumps(message(usage=FULL)).encode()
    meter_of(httpx2.Response(200, content=body))(told.append)
    assert told == [Used(10, 20, 300, 40, FULL)]


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", None])
def test_a_count_that_is_none_makes_the_usage_unknown(wrong: object) -> None:
    """Unknown is never zero."""
    assert read_usage({**FULL, "output_tokens": wrong}) is None
    assert read_usage(FULL) == Used(10, 20, 300, 40, FULL)


def test_only_reads_do_not_count() -> None:
    """Against the input limit."""
    assert Used(10, 20, 300, 40).counted_input_tokens == 50

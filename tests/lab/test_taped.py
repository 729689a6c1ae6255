"""Recorded and played again: the same story, to the millisecond, through the real SDK."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import INVALID_SPAN

from labkit.errors import LabkitError
from labkit.lab.cassette import Replay, read_cassette
from labkit.lab.taped import Recorder, parts_of
from labkit.layers.deadline import Deadline
from labkit.layers.retry import Retry
from labkit.sim.faults import Fault
from labkit.sim.reply import ENDINGS, Reply
from labkit.sim.transport import Source
from labkit.tap import Played
from tests.scenes import ASK, Scene, Scripted

KEY = "sk-ant-" + "api03-AbC_123-xyz"
ORGANISATION = "0f8b2c3d-1a2b-4c5d-8e9f-0123456789ab"
SSE = {"content-type": "text/event-stream; charset=utf-8"}
STORY = {"answered_by": "labkit's simulated API"}


def told(attempts: list[Played]) -> list[Any]:
    """Spell out attempts: what was asked, what came when, how it ended; times in milliseconds."""
    in_order = sorted(attempts, key=lambda each: (round(each.began, 3), each.request.content))
    return [
        (
            each.request.method,
            each.request.url.path,
            json.loads(each.request.content),
            each.reply.status,
            each.ending,
            round(each.began, 3),
            round(each.ended, 3),
            [(round(at, 3), data) for at, data in each.reply.chunks if data],
        )
        for each in in_order
    ]


class Take:
    """One performance of a scene, recorded from a simulator or played from a cassette."""

    def __init__(self, path: Path, source: Source | None, faults: tuple[Fault, ...] = ()) -> None:
        self.attempts: list[Played] = []
        self.recorder = Recorder(path, STORY)
        observers = [self.attempts.append, self.recorder.observe]
        self.scene = Scene(source, faults=faults, observers=observers)
        self.outcome: Any = None

    def perform(self, play: Callable[[Scene], Any]) -> Any:
        """Play the scene and keep what came of it, an error too."""
        try:
            self.outcome = play(self.scene)
        except (anthropic.APIError, httpx2.TransportError, TimeoutError, LabkitError) as error:
            self.outcome = (type(error), str(error))
        calls = [
            (row.number, row.attempts, row.status, row.error, row.stop_reason, row.cost_usd)
            for row in self.scene.ledger.calls
        ]
        times = [
            None if seconds is None else round(seconds, 3)
            for row in self.scene.ledger.calls
            for seconds in (row.start_s, row.latency_s, row.first_chunk_s)
        ]
        return self.outcome, calls, times, told(self.attempts)


def plain(scene: Scene) -> Any:
    """Make one plain call."""
    return scene.client().messages.create(**ASK).to_dict()


def retried(scene: Scene) -> Any:
    """Make one plain call with a retry layer."""
    return scene.client(Deadline(300), Retry(6, seed=5)).messages.create(**ASK).to_dict()


def streamed(scene: Scene) -> Any:
    """Read one stream."""
    with scene.client(Retry(3, seed=5)).messages.stream(**ASK) as stream:
        return stream.get_final_message().to_dict()


def closed_early(scene: Scene) -> Any:
    """Read three events of a stream and go."""
    with scene.client().messages.create(**ASK, stream=True) as stream:
        return [next(stream).type for _ in range(5)]


def counted(scene: Scene) -> Any:
    """Count tokens, then ask."""
    client = scene.client()
    count = client.messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
    return count.to_dict(), client.beta.messages.create(**ASK).to_dict()


def _on_loop(main: Callable[[anthropic.AsyncAnthropic], Awaitable[Any]]) -> Callable[[Scene], Any]:
    def play(scene: Scene) -> Any:
        async def run() -> Any:
            return await main(scene.async_client(max_retries=2))

        return scene.run(run)

    return play


@_on_loop
async def sdk_retries(client: anthropic.AsyncAnthropic) -> Any:
    """Make one call with the SDK's own retries."""
    return (await client.messages.create(**ASK)).to_dict()


@_on_loop
async def async_stream(client: anthropic.AsyncAnthropic) -> Any:
    """Read one stream with the async client."""
    async with client.messages.stream(**ASK) as stream:
        return (await stream.get_final_message()).to_dict()


@_on_loop
async def at_once(client: anthropic.AsyncAnthropic) -> Any:
    """Make four different calls at the same time."""
    questions = [[{"role": "user", "content": f"Question {n}?"}] for n in range(4)]
    asked = (client.messages.create(**{**ASK, "messages": each}) for each in questions)
    return [answer.to_dict() for answer in await asyncio.gather(*asked)]


@_on_loop
async def impatient(client: anthropic.AsyncAnthropic) -> Any:
    """Give up in the middle of a stream."""
    async with asyncio.timeout(0.7), client.messages.stream(**ASK) as stream:
        return [text async for text in stream.text_stream]


PLAYS = {
    "plain": plain,
    "retried": retried,
    "streamed": streamed,
    "closed early": closed_early,
    "counted": counted,
    "the SDK retries": sdk_retries,
    "async stream": async_stream,
    "at once": at_once,
    "impatient": impatient,
}
WEATHER = {
    "calm": (),
    "two overloads": (Fault("overloaded", first=2),),
    "wait 7 seconds": (Fault("rate_limited", first=1, retry_after=7),),
    "cut": (Fault("cut", after=6),),
    "cut at once": (Fault("cut", first=1),),
    "silent": (Fault("silence", first=1),),
    "refused": (Fault("refused", first=1),),
    "reset": (Fault("reset"),),
    "error event": (Fault("stream_error", first=1, after=5),),
    "proxy": (Fault("unavailable", first=1),),
    "slow": (Fault("slow", factor=30),),
    "spend limit": (Fault("spend_limit"),),
}


@pytest.fixture(autouse=True)
def same_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK's own jitter comes from global dice; here they always fall the same."""
    monkeypatch.setattr("anthropic._base_client.random", lambda: 0.5)


@pytest.mark.parametrize("weather", WEATHER)
@pytest.mark.parametrize("name", PLAYS)
def test_a_replay_tells_the_recorded_story(name: str, weather: str, tmp_path: Path) -> None:
    """Outcome, calls, attempts, times and chunks are those of the recording."""
    play = PLAYS[name]
    path = tmp_path / "lesson" / "scene.yaml"
    live = Take(path, None, WEATHER[weather])
    recorded = live.perform(play)
    live.recorder.save()
    replay = Take(path, Replay(path))
    assert replay.perform(play) == recorded
    again = Take(path, Replay(path))
    assert again.perform(play) == recorded


def played(reply: Reply, **request: Any) -> Played:
    """An attempt that ended like this."""
    asked = httpx2.Request(
        request.pop("method", "POST"),
        request.pop("url", "https://api.anthropic.com/v1/messages"),
        content=request.pop("content", b"{}"),
        **request,
    )
    return Played(asked, reply, 0.0, reply.duration_s, "complete", INVALID_SPAN)


def save(path: Path, *attempts: Played, **options: Any) -> str:
    """Write a cassette of attempts and return the file's text."""
    recorder = Recorder(path, STORY, **options)
    for each in attempts:
        recorder.observe(each)
    recorder.save()
    return path.read_text(encoding="utf-8")


bodies = st.one_of(
    st.binary(max_size=60),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60).map(str.encode),
    st.lists(st.sampled_from([b"\n", b"\n\n", b"\0", b"data: {}", b"\x85", b"a "])).map(b"".join),
)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), bodies), max_size=5).map(sorted),
    st.sampled_from(["text/event-stream", "application/json", "text/plain"]),
    st.sampled_from(ENDINGS),
    st.integers(0, 2 * 10**6),
)
def test_any_reply_survives_the_file(
    tmp_path_factory: pytest.TempPathFactory, chunks: Any, kind: str, ending: str, ended: int
) -> None:
    """Bytes, cut points, times and ending come back, whatever the body holds."""
    path = tmp_path_factory.mktemp("c") / "x.yaml"
    timed = tuple((ms / 1000, data) for ms, data in chunks if data)
    reply = Reply(200, {"content-type": kind}, timed, ending, ended / 1000)
    save(path, played(reply))
    (back,) = read_cassette(path).replies
    assert back.body == reply.body
    assert back.ending == ending
    assert back.duration_s == pytest.approx(reply.duration_s)
    assert [data for _, data in back.chunks] == parts_of(reply.body, {"content-type": kind})


def test_a_part_is_due_when_its_last_byte_came(tmp_path: Path) -> None:
    """Events are cut apart again however the network delivered them."""
    one, two = b"event: a\ndata: {}\n\n", b"event: b\ndata: {}\n\n"
    joined = one + two
    for cut in range(1, len(joined)):
        chunks = ((1.0, joined[:cut]), (2.0, joined[cut:]))
        reply = Reply(200, SSE, chunks)
        save(path := tmp_path / "x.yaml", played(reply))
        times = [1.0 if len(one) <= cut else 2.0, 2.0]
        assert [at for at, _ in read_cassette(path).replies[0].chunks] == times


def test_secrets_never_reach_the_file(tmp_path: Path) -> None:
    """Planted in headers, addresses, bodies and events, whole or in pieces, none is written."""
    secrets = [KEY, ORGANISATION, "wrkspc_01AbCdEfGhIjKl", "EqQBCkgIARAB", "session=abc"]
    everything = " ".join(secrets[:3])
    thinking = {"type": "thinking", "thinking": everything, "signature": secrets[3]}
    redacted = {"type": "redacted_thinking", "data": secrets[3]}
    content = [{"role": "assistant", "content": [thinking, redacted]}]
    asked = {"system": everything, "messages": content, "x": [{"encrypted_content": secrets[3]}]}
    headers = {
        "authorization": f"Bearer {KEY}",
        "x-api-key": KEY,
        "cookie": secrets[4],
        "anthropic-beta": everything,
        "x-custom": everything,
    }
    answer_headers = {
        "set-cookie": secrets[4],
        "anthropic-organization-id": ORGANISATION,
        "request-id": f"req_{everything}",
        "x-other": everything,
    }
    json_reply = Reply(
        200,
        {**answer_headers, "content-type": "application/json"},
        ((1.0, json.dumps(asked).encode()),),
    )
    deltas = [
        {"type": "signature_delta", "signature": secrets[3]},
        {"type": "text_delta", "text": KEY[:9]},
        {"type": "text_delta", "text": KEY[9:]},
        {"type": "text_delta", "text": everything},
    ]
    frames = b"".join(
        b"event: content_block_delta\ndata: "
        + json.dumps({"type": "content_block_delta", "index": 0, "delta": each}).encode()
        + b"\n\n"
        for each in deltas
    )
    cut = b'event: content_block_delta\ndata: {"delta":{"signature":"EqQBCkgIARAB'
    stream_reply = Reply(200, {**answer_headers, **SSE}, ((1.0, frames), (2.0, cut)), "reset")
    request: dict[str, Any] = {
        "headers": headers,
        "content": json.dumps(asked).encode(),
        "url": f"https://me:{KEY}@a.b/v1/messages?key={KEY}",
    }
    text = save(tmp_path / "x.yaml", played(json_reply, **request), played(stream_reply, **request))
    for secret in [*secrets, KEY[9:], KEY[:9], "EqQBCkg"]:
        assert secret not in text


def test_a_secret_of_another_shape_is_scrubbed_when_it_is_known(tmp_path: Path) -> None:
    """A gateway's key looks like nothing in particular, but the bench knows it."""
    key = "my-gateway-key-0123456789"
    body = json.dumps({"messages": [{"role": "user", "content": f"my key is {key}"}]}).encode()
    text = save(tmp_path / "x.yaml", played(Reply(200), content=body), secrets=[key])
    assert key not in text
    assert read_cassette(tmp_path / "x.yaml").requests


def test_a_conversation_with_signatures_replays(tmp_path: Path) -> None:
    """The signature that comes back is the scrubbed one, and it still finds its recording."""
    thinking = {"type": "thinking", "thinking": f"of {ORGANISATION}", "signature": "EqQBCkgIARAB"}
    content = [thinking, {"type": "text", "text": f"Your id is {ORGANISATION}."}]
    first = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": ASK["model"],
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    second = {**first, "content": [{"type": "text", "text": "done"}]}
    replies = [
        Reply(200, {"content-type": "application/json"}, ((1.0, json.dumps(each).encode()),))
        for each in (first, second)
    ]

    def converse(scene: Scene) -> str:
        client = scene.client()
        turns = list(ASK["messages"])
        answer = client.messages.create(**{**ASK, "messages": turns})
        turns += [{"role": "assistant", "content": [b.to_dict() for b in answer.content]}]
        turns += [{"role": "user", "content": f"Is {ORGANISATION} right?"}]
        last = client.messages.create(**{**ASK, "messages": turns}).content[0]
        return str(getattr(last, "text", ""))

    path = tmp_path / "x.yaml"
    live = Take(path, Scripted(*replies))
    assert converse(live.scene) == "done"
    live.recorder.save()
    assert "EqQBCkgIARAB" not in path.read_text()
    assert converse(Scene(Replay(path))) == "done"


def test_a_body_that_was_compressed_unasked_is_stored_as_text(tmp_path: Path) -> None:
    """What nobody could read on replay is decoded, and so it is scrubbed as well."""
    body = json.dumps({"text": KEY}).encode()
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    reply = Reply(200, headers, ((1.5, gzip.compress(body)),))
    text = save(tmp_path / "x.yaml", played(reply))
    assert KEY not in text
    (back,) = read_cassette(tmp_path / "x.yaml").replies
    assert back.chunks == ((1.5, b'{"text":"scrubbed"}'),)


def test_nothing_recorded_writes_nothing(tmp_path: Path) -> None:
    """A client that was never used leaves the old cassette alone."""
    path = tmp_path / "x.yaml"
    path.write_text("old")
    Recorder(path, STORY).save()
    assert path.read_text() == "old"


def test_provenance_tells_models_and_price(tmp_path: Path) -> None:
    """Who answered, with which models, at what list price: for a reader of the file."""
    take = Take(tmp_path / "x.yaml", None, (Fault("overloaded", first=1),))
    take.perform(retried)
    take.recorder.save()
    story = read_cassette(tmp_path / "x.yaml").provenance
    assert story["answered_by"] == STORY["answered_by"]
    assert story["models"] == [ASK["model"]]
    assert float(story["list_price_usd"]) == float(take.scene.ledger.total()) > 0
    assert story["calls_without_price"] == 1


def test_attempts_are_stored_in_the_order_in_which_they_began(tmp_path: Path) -> None:
    """The slower of two that overlap does not slip behind the quicker one."""
    slow, quick = (
        replace(played(Reply(200), url=f"https://a.b/v1/{began}"), began=began, ended=ended)
        for began, ended in ((1, 9), (2, 3))
    )
    save(tmp_path / "x.yaml", quick, slow)
    document = yaml.safe_load((tmp_path / "x.yaml").read_text())
    assert [each["request"]["uri"][-1] for each in document["interactions"]] == ["1", "2"]


KILLED = """
import os, pathlib, signal, sys

from vcr.serializers import yamlserializer

from labkit.lab.taped import Recorder
from tests.scenes import ASK, Scene

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

point, path = sys.argv[1:]
recorder = Recorder(pathlib.Path(path), {"answered_by": "nobody"})
client = Scene(observers=[recorder.observe]).client()
if point == "in the middle of a stream":
    with client.messages.create(**ASK, stream=True) as stream:
        next(stream)
        die()
client.messages.create(**ASK)
if point == "before saving":
    die()
if point == "while it is put into words":
    yamlserializer.serialize = die
if point == "before it is on the disk":
    os.fsync = die
if point == "between writing and renaming":
    pathlib.Path.replace = die
recorder.save()
if point == "after saving":
    die()
"""


@pytest.mark.parametrize(
    "point",
    [
        "in the middle of a stream",
        "before saving",
        "while it is put into words",
        "before it is on the disk",
        "between writing and renaming",
        "after saving",
    ],
)
def test_a_recording_killed_at_any_point_leaves_a_cassette_that_plays(
    tmp_path: Path, point: str
) -> None:
    """The old one or the new one, whole; what else lies there disturbs nobody."""
    path = tmp_path / "lesson" / "scene.yaml"
    take = Take(path, None)
    old = take.perform(plain)
    take.recorder.save()
    done = subprocess.run([sys.executable, "-c", KILLED, point, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    maker = "nobody" if point == "after saving" else STORY["answered_by"]
    assert read_cassette(path).provenance["answered_by"] == maker
    assert Take(path, Replay(path)).perform(plain) == old
    assert list(path.parent.glob("*.yaml")) == [path]
    take.recorder.save()
    assert Take(path, Replay(path)).perform(plain) == old

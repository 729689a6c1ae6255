"""The tap changes nothing and tells every attempt once, however it ended."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import httpx2
import pytest

from labkit.errors import CassetteMiss
from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from labkit.sim.transport import Simulated
from labkit.tap import Played
from tests.scenes import ASK, Scene, Scripted


class Watched:
    """A scene whose attempts are kept as they are told."""

    def __init__(self, source: Any = None, **how: Any) -> None:
        self.told: list[Played] = []
        self.scene = Scene(source, observers=[self.told.append], **how)

    @property
    def one(self) -> Played:
        """The only attempt told."""
        assert len(self.told) == 1
        return self.told[0]


def call_sync(watched: Watched, **change: Any) -> None:
    """Make one call with `Anthropic` and read all of it."""
    client = watched.scene.client()
    if change.pop("stream", False):
        with client.messages.stream(**{**ASK, **change}) as stream:
            stream.until_done()
    else:
        client.messages.create(**{**ASK, **change})


def call_async(watched: Watched, **change: Any) -> None:
    """Make one call with `AsyncAnthropic` and read all of it."""

    async def main() -> None:
        client = watched.scene.async_client()
        if change.pop("stream", False):
            async with client.messages.stream(**{**ASK, **change}) as stream:
                await stream.until_done()
        else:
            await client.messages.create(**{**ASK, **change})

    watched.scene.run(main)


CALL = pytest.mark.parametrize("call", [call_sync, call_async])
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])


@CALL
@STREAMED
def test_what_arrived_is_told_as_it_arrived(call: Any, streamed: bool) -> None:
    """The bytes, their times, the status and the headers are those of the server."""
    body = {**ASK, "stream": True} if streamed else ASK
    sent = json.dumps(body).encode()
    headers = {"authorization": "Bearer k", "anthropic-version": "2026-10-21"}
    server = SimulatedApi().reply("POST", "/v1/messages", headers, sent, 0.0)
    watched = Watched()
    call(watched, stream=streamed)
    reply = watched.one.reply
    assert (reply.status, dict(reply.headers)) == (200, dict(server.headers))
    assert reply.body == server.body
    assert [at for at, _ in reply.chunks] == pytest.approx([at for at, _ in server.chunks])
    assert (watched.one.began, watched.one.ending) == (0.0, "complete")
    assert watched.one.ended == watched.scene.clock.now()
    assert json.loads(watched.one.request.content)["model"] == ASK["model"]


@CALL
@STREAMED
@pytest.mark.parametrize(
    ("kind", "ending", "taped"),
    [
        ("refused", "refused", "refused"),
        ("reset", "reset", "reset"),
        ("silence", "timeout", "silence"),
        ("cut", "reset", "reset"),
        ("overloaded", "complete", "complete"),
        ("stream_error", "complete", "complete"),
    ],
)
def test_every_ending_has_its_word(
    call: Any, streamed: bool, kind: str, ending: str, taped: str
) -> None:
    """The client's story and the server's are told apart: a timeout is a silence."""
    watched = Watched(faults=[Fault(kind, after=5)])
    with pytest.raises((anthropic.APIError, httpx2.TransportError)):
        call(watched, stream=streamed)
    told = watched.told[0]
    assert (told.ending, told.reply.ending) == (ending, taped)


@CALL
def test_the_time_of_a_failure_is_kept(call: Any) -> None:
    """A connection that breaks after three silent seconds is told as that."""
    watched = Watched(Scripted(Reply(200, ending="reset", ended_s=3.0)))
    with pytest.raises(anthropic.APIConnectionError):
        call(watched)
    assert (watched.one.ended, watched.one.reply.ended_s) == (3.0, 3.0)


@pytest.mark.parametrize("error", [httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ConnectError])
def test_no_connection_in_time_is_no_connection(error: type[httpx2.TransportError]) -> None:
    """Without a connection there was nobody to be silent."""

    class Dead(Scripted):
        def reply_to(self, request: httpx2.Request, now: float) -> Reply:  # noqa: ARG002
            raise error("nobody there", request=request)

    watched = Watched(Dead())
    with pytest.raises(anthropic.APIConnectionError):
        call_sync(watched)
    assert watched.one.ending == watched.one.reply.ending == "refused"


@CALL
def test_an_error_of_the_bench_is_no_attempt(call: Any) -> None:
    """Where nothing was sent there is nothing to tell."""

    class Missing(Scripted):
        def reply_to(self, request: httpx2.Request, now: float) -> Reply:  # noqa: ARG002
            raise CassetteMiss("never recorded")

    watched = Watched(Missing())
    with pytest.raises(CassetteMiss):
        call(watched)
    assert watched.told == []


def test_a_stream_closed_early_is_told_with_what_was_read() -> None:
    """A reader who has enough leaves a tape on which nothing more is said."""
    watched = Watched()
    with watched.scene.client().messages.create(**ASK, stream=True) as stream:
        for _ in range(3):
            next(stream)
    told = watched.one
    assert (told.ending, told.reply.ending) == ("closed", "silence")
    assert 0 < len(told.reply.body) < 2000
    assert b"message_stop" not in told.reply.body


def test_an_async_stream_closed_early_is_told_as_well() -> None:
    """The same for the async client."""
    watched = Watched()

    async def main() -> None:
        async with await watched.scene.async_client().messages.create(**ASK, stream=True) as stream:
            await anext(stream)

    watched.scene.run(main)
    assert (watched.one.ending, watched.one.reply.ending) == ("closed", "silence")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_cancelled_attempt_is_told_as_silence(streamed: bool) -> None:
    """A caller who runs out of patience before the first byte leaves a silent server behind."""
    watched = Watched(faults=[Fault("slow", factor=1000)])

    async def main() -> None:
        client = watched.scene.async_client()
        async with asyncio.timeout(5):
            await client.messages.create(**ASK, stream=streamed)

    with pytest.raises(TimeoutError):
        watched.scene.run(main)
    told = watched.one
    assert (told.ending, told.reply.ending, told.reply.status) == ("closed", "silence", 0)
    assert told.ended == 5


def test_every_observer_is_told_of_every_attempt() -> None:
    """Two calls of three attempts each are six attempts, told in order, to everybody."""
    first: list[Played] = []
    second: list[Played] = []
    faults = [Fault("overloaded", first=2)]
    scene = Scene(Simulated(SimulatedApi(faults=faults)), observers=[first.append, second.append])

    async def main() -> None:
        client = scene.async_client(max_retries=2)
        await client.messages.create(**ASK)

    scene.run(main)
    assert [told.reply.status for told in first] == [529, 529, 200]
    assert first == second
    assert len({told.span.get_span_context().span_id for told in first}) == 1

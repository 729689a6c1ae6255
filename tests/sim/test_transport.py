"""Replies played on a clock: bytes when they are due, the client's patience, and every ending."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.clock import VirtualClock
from labkit.errors import Deadlock
from labkit.sim.reply import Reply
from labkit.sim.transport import AsyncReplyTransport, ReplyTransport
from labkit.virtual_loop import run_virtual

URL = "https://api.anthropic.com/v1/messages"


@dataclass
class Always:
    """A source that gives one reply to everything."""

    reply: Reply

    def reply_to(self, request: httpx2.Request, now: float) -> Reply:  # noqa: ARG002
        """Give it."""
        return self.reply


@dataclass
class Seen:
    """What a client saw: (time, bytes) for each chunk, the error, and when it was over."""

    chunks: list[tuple[float, bytes]]
    error: BaseException | None
    over: float
    status: int


def play(reply: Reply, read: float | None = 60.0, most: int = 10**9) -> Seen:
    """Read a reply with a sync client, at most so many chunks of it."""
    clock = VirtualClock()
    seen = Seen([], None, 0.0, 0)
    client = httpx2.Client(transport=ReplyTransport(Always(reply), clock), timeout=read)
    try:
        with client.stream("POST", URL, content=b"{}") as response:
            seen.status = response.status_code
            for data in response.iter_raw():
                seen.chunks.append((clock.now(), data))
                if len(seen.chunks) == most:
                    break
    except Exception as error:
        seen.error = error
    seen.over = clock.now()
    return seen


def play_async(reply: Reply, read: float | None = 60.0, most: int = 10**9) -> Seen:
    """Read a reply with an async client on virtual time."""
    clock = VirtualClock()
    seen = Seen([], None, 0.0, 0)

    async def main() -> None:
        transport = AsyncReplyTransport(Always(reply), clock)
        try:
            async with (
                httpx2.AsyncClient(transport=transport, timeout=read) as client,
                client.stream("POST", URL, content=b"{}") as response,
            ):
                seen.status = response.status_code
                async for data in response.aiter_raw():
                    seen.chunks.append((clock.now(), data))
                    if len(seen.chunks) == most:
                        break
        except Exception as error:
            seen.error = error
        seen.over = clock.now()

    run_virtual(main(), clock)
    return seen


BOTH = pytest.mark.parametrize("player", [play, play_async])
chunk_lists = st.lists(
    st.tuples(st.floats(0, 50).map(lambda x: round(x, 3)), st.binary(min_size=1, max_size=9)),
    max_size=8,
).map(sorted)


@given(chunk_lists, st.integers(200, 599))
def test_every_byte_arrives_when_it_is_due(chunks: list[Any], status: int) -> None:
    """Both clients get the same chunks at the same times, and the status."""
    reply = Reply(status, {"x": "y"}, tuple(chunks))
    for seen in (play(reply), play_async(reply)):
        assert seen.status == status
        assert seen.error is None
        assert [data for _, data in seen.chunks] == [data for _, data in chunks]
        assert [at for at, _ in seen.chunks] == pytest.approx([at for at, _ in chunks])


@BOTH
@pytest.mark.parametrize(
    ("ending", "error"),
    [("reset", httpx2.RemoteProtocolError), ("refused", httpx2.ConnectError)],
)
def test_a_failure_comes_at_its_time(player: Any, ending: str, error: type[Exception]) -> None:
    """After the last chunk the connection fails, at the second the reply says."""
    reply = Reply(200, {}, ((1.0, b"a"),), ending, ended_s=4.0)
    seen = player(reply)
    assert type(seen.error) is error
    assert (seen.chunks, seen.over) == ([(1.0, b"a")], 4.0)
    assert player(Reply(0, ending=ending, ended_s=2.0)).over == 2.0


@BOTH
def test_a_complete_answer_may_close_late(player: Any) -> None:
    """A server may keep the connection for a while after the last byte."""
    seen = player(Reply(200, {}, ((1.0, b"a"),), ended_s=3.0))
    assert (seen.error, seen.over) == (None, 3.0)


@BOTH
def test_an_empty_answer_is_an_answer(player: Any) -> None:
    """No bytes and a proper end is an empty body."""
    seen = player(Reply(204))
    assert (seen.error, seen.chunks, seen.status) == (None, [], 204)


@BOTH
def test_the_read_timeout_is_the_longest_silence(player: Any) -> None:
    """Many bytes with short gaps never time out; one long gap does, after exactly the patience."""
    steady = tuple((float(second), b".") for second in range(1, 100))
    assert player(Reply(200, {}, steady), 2.0).error is None
    seen = player(Reply(200, {}, ((1.0, b"a"), (9.0, b"b"))), 5.0)
    assert type(seen.error) is httpx2.ReadTimeout
    assert (seen.chunks, seen.over) == ([(1.0, b"a")], 6.0)


@BOTH
@pytest.mark.parametrize("chunks", [(), ((1.0, b"a"),)])
def test_silence_outlasts_any_patience(player: Any, chunks: Any) -> None:
    """A silent server costs the read timeout, before the first byte or after one."""
    seen = player(Reply(200, {}, chunks, "silence"), 30.0)
    assert type(seen.error) is httpx2.ReadTimeout
    assert seen.over == 30.0 + len(chunks)


@BOTH
def test_silence_without_a_timeout_is_a_deadlock(player: Any) -> None:
    """Virtual time has no end, so waiting for ever is an error at once."""
    assert type(player(Reply(200, ending="silence"), None).error) is Deadlock


@BOTH
def test_a_client_may_stop_reading(player: Any) -> None:
    """What is not read takes no time, and closing early is no error."""
    seen = player(Reply(200, {}, ((1.0, b"a"), (500.0, b"b")), "reset"), 600.0, 1)
    assert (seen.error, seen.over) == (None, 1.0)

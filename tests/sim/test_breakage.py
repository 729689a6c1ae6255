"""Broken replies: what was sound before the break stays as it was, and times run forward."""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.breakage import (
    DROP,
    MOST_PINGS,
    PING,
    cut,
    dripped,
    is_stream,
    malformed,
    overpromised,
    pinging,
    unfinished,
    with_error_event,
)
from labkit.sim.reply import Reply

BODY = Reply(
    200,
    {"content-type": "application/json"},
    ((1.5, json.dumps({"a": "ö" * 90}, ensure_ascii=False).encode()),),
)
EVENTS = [f"event: e{n}\ndata: {{}}\n\n".encode() for n in range(6)]
STREAM = Reply(
    200,
    {"content-type": "text/event-stream; charset=utf-8"},
    tuple((float(n), data) for n, data in enumerate([EVENTS[0], PING, *EVENTS[1:]])),
)
afters = st.integers(0, 12)
breaks = st.sampled_from(
    [
        cut,
        unfinished,
        malformed,
        lambda reply, after: with_error_event(reply, after, "req_1"),
        lambda reply, after: dripped(reply, 0.5 + after),
        lambda reply, after: pinging(reply, 0.5, float(after)),
        lambda reply, _: overpromised(reply),
    ]
)


@given(breaks, st.sampled_from([BODY, STREAM]), afters)
def test_time_runs_forward_and_the_sound_reply_stays_sound(
    broken: Callable[[Reply, int], Reply], reply: Reply, after: int
) -> None:
    """A break makes a new reply."""
    before = reply.chunks
    times = [at for at, _ in broken(reply, after).chunks]
    assert times == sorted(times)
    assert reply.chunks == before


def test_a_stream_is_told_by_its_type() -> None:
    """A body is none."""
    assert is_stream(STREAM)
    assert not is_stream(BODY)
    assert not is_stream(Reply(0))


@given(afters)
def test_a_cut_stream_keeps_so_many_events_and_never_its_last(after: int) -> None:
    """The connection breaks when the next one was due."""
    broken = cut(STREAM, after)
    kept = min(after, len(STREAM.chunks) - 1)
    assert broken.chunks == STREAM.chunks[:kept]
    assert (broken.ending, broken.ended_s) == ("reset", STREAM.chunks[kept][0])


def test_a_cut_body_is_half_a_body() -> None:
    """Its headers still announce all of it."""
    broken = cut(BODY, 3)
    assert BODY.body.startswith(broken.body)
    assert len(broken.body) == len(BODY.body) // 2
    assert broken.headers == BODY.headers


@given(afters)
def test_an_error_event_ends_a_stream_in_good_order(after: int) -> None:
    """With an overload, in place of the event that was due."""
    broken = with_error_event(STREAM, after, "req_1")
    kept = min(after, len(STREAM.chunks) - 1)
    assert broken.chunks[:-1] == STREAM.chunks[:kept]
    at, data = broken.chunks[-1]
    assert at == STREAM.chunks[kept][0]
    assert data.startswith(b"event: error\ndata: ")
    told = json.loads(data.split(b"data: ")[1])
    assert (told["error"]["type"], told["request_id"]) == ("overloaded_error", "req_1")
    assert broken.ending == STREAM.ending


@given(afters)
def test_an_unfinished_stream_lacks_its_end_alone(after: int) -> None:
    """0 stands for all events but the last; a body is left as it is."""
    broken = unfinished(STREAM, after)
    most = len(STREAM.chunks) - 1
    assert broken.chunks == STREAM.chunks[: min(after or most, most)]
    assert broken.ending == STREAM.ending
    assert unfinished(BODY, after) == BODY


@given(afters)
def test_one_event_is_malformed_and_no_other(after: int) -> None:
    """A ping is none; the break is a frame of its own, of whole characters."""
    broken = malformed(STREAM, after)
    different = [
        n for n, (a, b) in enumerate(zip(broken.chunks, STREAM.chunks, strict=True)) if a != b
    ]
    (place,) = different
    assert STREAM.chunks[place][1] == EVENTS[min(after, len(EVENTS) - 1)]
    assert broken.chunks[place][1].endswith(b"\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(malformed(BODY, after).body)
    malformed(BODY, after).body.decode()


def test_more_is_announced_than_comes() -> None:
    """And then the connection ends."""
    broken = overpromised(BODY)
    assert int(broken.headers["content-length"]) > len(broken.body)
    assert (broken.body, broken.ending) == (BODY.body, "reset")


@given(st.floats(0.01, 60), st.sampled_from([BODY, STREAM]))
def test_a_drip_is_everything_a_few_bytes_at_a_time(every: float, reply: Reply) -> None:
    """From the first byte on, evenly."""
    broken = dripped(reply, every)
    assert broken.body == reply.body
    assert {len(data) for _, data in broken.chunks[:-1]} == {DROP}
    times = [at for at, _ in broken.chunks]
    assert times == pytest.approx([times[0] + n * every for n in range(len(times))], abs=0.001)
    assert times[0] == reply.first_byte_s


def test_pings_come_between_the_first_event_and_the_rest() -> None:
    """Which comes that much later."""
    broken = pinging(STREAM, 2.0, 10.0)
    assert broken.chunks[0] == STREAM.chunks[0]
    assert broken.chunks[1:6] == tuple((2.0 * n, PING) for n in range(1, 6))
    assert broken.chunks[6:] == tuple((at + 10.0, data) for at, data in STREAM.chunks[1:])


def test_pings_for_ever_have_an_end_here() -> None:
    """Ten thousand, and then silence; a body never comes, or that much later."""
    broken = pinging(STREAM, 1.0, inf)
    assert len(broken.chunks) == 1 + MOST_PINGS
    assert broken.ending == "silence"
    assert pinging(BODY, 1.0, inf) == Reply(200, BODY.headers, (), ending="silence")
    assert pinging(BODY, 1.0, 3.0).chunks[0][0] == 4.5

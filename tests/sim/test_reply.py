"""A reply as a value: its bytes, its times, and the same reply later or slower."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.reply import UPSTREAM, Reply

chunks = st.lists(st.tuples(st.floats(0, 100), st.binary(max_size=9)), max_size=6).map(
    lambda found: tuple(sorted((round(at, 3), data) for at, data in found))
)
replies = st.builds(
    Reply,
    status=st.just(200),
    headers=st.just({UPSTREAM: "900"}),
    chunks=chunks,
    ended_s=st.floats(0, 200).map(lambda at: round(at, 3)),
)


@given(replies)
def test_a_reply_ends_after_it_has_begun(reply: Reply) -> None:
    """With all bytes of its pieces."""
    assert reply.first_byte_s <= reply.duration_s
    assert reply.body == b"".join(data for _, data in reply.chunks)


@given(replies, st.floats(0, 50).map(lambda at: round(at, 3)))
def test_a_delayed_reply_is_the_same_later(reply: Reply, seconds: float) -> None:
    """From its first byte to its end, and the time it reports."""
    late = reply.delayed(seconds)
    assert late.body == reply.body
    assert late.first_byte_s == pytest.approx(reply.first_byte_s + seconds, abs=0.002)
    assert late.duration_s == pytest.approx(reply.duration_s + seconds, abs=0.002)
    assert int(late.headers[UPSTREAM]) == pytest.approx(900 + seconds * 1000, abs=1)


@given(replies, st.floats(0.1, 20))
def test_a_slowed_reply_takes_so_many_times_as_long(reply: Reply, factor: float) -> None:
    """From its first byte to its end, and the time it reports."""
    slow = reply.slowed(factor)
    assert slow.body == reply.body
    assert slow.first_byte_s == pytest.approx(reply.first_byte_s * factor, abs=0.002)
    assert slow.duration_s == pytest.approx(reply.duration_s * factor, abs=0.002)
    assert int(slow.headers[UPSTREAM]) == pytest.approx(900 * factor, abs=1)


def test_no_connection_is_a_reply_too() -> None:
    """Without bytes, at once."""
    refused = Reply(0, ending="refused")
    assert (refused.body, refused.first_byte_s, refused.duration_s) == (b"", 0.0, 0.0)

"""An attempt as a row: one word for how it ended, and when its first words came."""

from __future__ import annotations

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import INVALID_SPAN

from labkit.attempts import attempt_of
from labkit.sim.reply import Reply
from labkit.tap import Played

SSE = {"content-type": "text/event-stream; charset=utf-8"}
START = b'event: message_start\ndata: {"type":"message_start"}\n\n'
WORDS = b'event: content_block_delta\ndata: {"type":"content_block_delta"}\n\n'
ERROR = b'event: error\ndata: {"type":"error"}\n\n'


def played(reply: Reply, ending: str = "complete") -> Played:
    """An attempt that began at second 10 and ended at second 20."""
    request = httpx2.Request("POST", "https://api.anthropic.com/v1/messages")
    return Played(request, reply, 10.0, 20.0, ending, INVALID_SPAN)


@pytest.mark.parametrize(
    ("reply", "ending", "row"),
    [
        (Reply(200), "complete", ("ok", "200")),
        (Reply(200, SSE, ((0.0, START),)), "closed", ("unreachable", "cancelled")),
        (Reply(529, SSE), "closed", ("error", "529")),
        (Reply(200), "closed", ("ok", "200")),
        (Reply(429), "complete", ("rate_limited", "429")),
        (Reply(400), "complete", ("error", "400")),
        (Reply(529), "complete", ("error", "529")),
        (Reply(200, SSE, ((0.0, START + ERROR),)), "complete", ("error", "error event")),
        (Reply(200, {}, ((0.0, ERROR),)), "complete", ("ok", "200")),
        (Reply(200, SSE, ((0.0, START),)), "complete", ("error", "truncated")),
        (Reply(200, SSE, ((0.0, START + WORDS),)), "complete", ("ok", "200")),
        (Reply(0), "refused", ("unreachable", "refused")),
        (Reply(200), "reset", ("unreachable", "reset")),
        (Reply(0), "timeout", ("unreachable", "timeout")),
        (Reply(0), "closed", ("unreachable", "cancelled")),
    ],
)
def test_an_ending_is_one_word_and_a_label(reply: Reply, ending: str, row: tuple[str, str]) -> None:
    """Each way to end has its place in the request timeline."""
    attempt = attempt_of(played(reply, ending))
    assert (attempt.outcome, attempt.label) == row
    assert (attempt.start_s, attempt.end_s) == (10.0, 20.0)


def test_the_first_words_are_the_first_content_event() -> None:
    """The start of a message is no content, and neither is its last delta."""
    chunks = ((1.0, START), (2.0, WORDS), (3.0, WORDS))
    assert attempt_of(played(Reply(200, SSE, chunks))).first_content_s == 12.0
    empty = ((1.0, START), (2.0, b"event: message_delta\ndata: {}\n\n"))
    assert attempt_of(played(Reply(200, SSE, empty))).first_content_s is None


def test_an_answer_that_is_no_stream_has_no_first_words() -> None:
    """A plain answer that talks about events is still a plain answer."""
    body = b'{"text": "event: content_block_delta\n"}'
    assert attempt_of(played(Reply(200, {}, ((1.0, body),)))).first_content_s is None


@given(st.lists(st.integers(1, 30), min_size=1))
def test_the_network_may_cut_its_bytes_anywhere(sizes: list[int]) -> None:
    """The content is found in the chunk that completes its name, whatever the sizes of chunks."""
    body, chunks, at = START + WORDS, [], 0
    for number, size in enumerate(sizes * len(body)):
        if at >= len(body):
            break
        chunks.append((float(number), body[at : at + size]))
        at += size
    named = len(START) + len(b"event: content_block_delta\n")
    lengths = [sum(len(data) for _, data in chunks[: n + 1]) for n in range(len(chunks))]
    due = next(float(n) for n, length in enumerate(lengths) if length >= named)
    assert attempt_of(played(Reply(200, SSE, tuple(chunks)))).first_content_s == 10.0 + due

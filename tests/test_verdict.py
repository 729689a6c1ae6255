"""The verdict on a stream depends on its events alone, however they are cut, ended or packed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.verdict import OPAQUE, Verdict, Watch, error_in
from tests.wire import (
    BLOCK,
    BLOCK_END,
    DELTA,
    EVENTS,
    OVERLOAD,
    PING,
    START,
    STOP,
    WORD,
    cut,
    event,
    packed,
)

GOOD, OVERLOADED = Verdict(), Verdict(error_type="overloaded_error")

PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda plain: plain,
    "identity": lambda plain: plain,
    "gzip": lambda plain: packed(plain, 31),
    "GZIP ": lambda plain: packed(plain, 31),
    "deflate": zlib.compress,
}


def judge(chunks: list[bytes], encoding: str = "") -> tuple[Verdict, bool]:
    """Feed chunks up to the end and return (verdict, whether the end is a proper one)."""
    watch = Watch(encoding)
    for chunk in chunks:
        watch.feed(chunk)
    return watch.end(), watch.complete


streams = st.lists(
    st.sampled_from([*EVENTS, OVERLOAD, b": a comment\n\n", b"data: nameless\n\n", b"\n"]),
    max_size=8,
).map(b"".join)
line_ends = st.sampled_from([b"\n", b"\r\n", b"\r"])
places = st.lists(st.integers(0, 5000), max_size=12)


@given(streams, line_ends, places, st.sampled_from([*PACKINGS]))
def test_the_verdict_does_not_depend_on_how_the_stream_is_cut_ended_or_packed(
    whole: bytes, line_end: bytes, where: list[int], encoding: str
) -> None:
    """Chunks, line ends and compression are the carrier's affair."""
    on_the_wire = PACKINGS[encoding](whole.replace(b"\n", line_end) + line_end)
    assert judge(cut(on_the_wire, where), encoding) == judge([whole])


@pytest.mark.parametrize(
    ("events", "verdict", "complete"),
    [
        ([], Verdict(truncated=True), False),
        ([PING, PING], Verdict(truncated=True), False),
        ([START], Verdict(truncated=True), False),
        ([START, BLOCK, PING, BLOCK_END], Verdict(truncated=True), False),
        ([START, BLOCK, WORD], GOOD, False),
        ([START, BLOCK, WORD, BLOCK_END, DELTA], GOOD, True),
        ([START, DELTA], GOOD, True),
        ([START, STOP], GOOD, True),
        ([OVERLOAD], OVERLOADED, True),
        ([START, BLOCK, PING, OVERLOAD], OVERLOADED, True),
        ([START, BLOCK, WORD, OVERLOAD], GOOD, True),
        ([OVERLOAD, WORD], OVERLOADED, True),
        ([START, event("something_new")], GOOD, False),
    ],
)
def test_what_a_stream_shows(events: list[bytes], verdict: Verdict, complete: bool) -> None:
    """Content, an error or nothing comes first; a stop reason or an error makes the end proper."""
    assert judge(events) == (verdict, complete)


def test_there_is_no_verdict_before_there_is_something_to_judge() -> None:
    """Whoever peeks goes on reading until then, and no further."""
    watch = Watch()
    assert [watch.feed(chunk) for chunk in (START, BLOCK, PING, WORD)] == [None, None, None, GOOD]


def test_an_event_counts_only_when_its_blank_line_is_there() -> None:
    """So it is for the SDK: half an event was never sent."""
    watch = Watch()
    assert watch.feed(OVERLOAD[:-1]) is None
    assert watch.feed(b"\n") == OVERLOADED


def test_words_inside_the_data_are_no_events() -> None:
    """A text may quote a stream."""
    quote = "event: error\ndata: {}\n\n"
    said = event("content_block_start", index=0, content_block={"type": "text", "text": quote})
    assert Watch().feed(said) is None


def test_an_encoding_we_cannot_read_passes_as_good() -> None:
    """Better no verdict than a wrong one; whoever reads the stream sees for himself."""
    assert judge([b"\x28\xb5\x2f\xfd"], "zstd") == (GOOD, True)
    assert judge([packed(OVERLOAD, 31)], "gzip, br") == (GOOD, True)


@given(st.binary(min_size=4), places)
def test_a_broken_compression_passes_as_good_or_as_cut_off(noise: bytes, where: list[int]) -> None:
    """Noise instead of gzip never raises here."""
    verdict, _ = judge(cut(noise, where), "gzip")
    assert verdict in (GOOD, Verdict(truncated=True))


@given(st.binary(), places)
def test_noise_is_never_an_accident(noise: bytes, where: list[int]) -> None:
    """Any bytes at all get some verdict."""
    assert isinstance(judge(cut(noise, where))[0], Verdict)


KEYS = st.sampled_from(["type", "error", "details", "error_code", "message", "x"])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=1) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)


@given(json_values)
def test_an_error_of_any_shape_is_an_error(body: Any) -> None:
    """Proxies send what they like: type and code are text, or they are not there."""
    kind, code = error_in(body)
    assert isinstance(kind, str)
    assert kind
    assert code is None or isinstance(code, str)
    found, _ = judge([b"event: error\ndata: " + json.dumps(body).encode() + b"\n\n"])
    assert found == Verdict(error_type=kind, error_code=code)


def test_an_error_event_without_data_is_an_error() -> None:
    """The SDK raises on it too."""
    assert judge([b"event: error\n\n"])[0] == Verdict(error_type="error")
    assert judge([b"event: error\ndata: Overloaded\n\n"])[0] == Verdict(error_type="error")


def test_the_code_of_an_error_is_found() -> None:
    """It tells a spend limit from a rate limit."""
    details = {"error_code": "enforced_spend_limit_reached"}
    sent = event("error", error={"type": "rate_limit_error", "details": details})
    assert judge([sent])[0] == Verdict("rate_limit_error", "enforced_spend_limit_reached")


def watched(*events: bytes, encoding: str = "") -> Watch:
    """Feed events to a watch."""
    watch = Watch(encoding)
    for one in events:
        watch.feed(one)
    return watch


def test_a_sign_of_life_is_no_content() -> None:
    """Pings, comments, nameless events and half events leave the count where it was."""
    silent = watched(PING, b": here\n\n", b"data: nameless\n\n", WORD[:-2])
    assert silent.contents == 0
    assert watched(START, BLOCK, PING, WORD, BLOCK_END).contents == 4


def test_where_no_events_can_be_read_every_chunk_is_content() -> None:
    """Bytes are all there is to go by."""
    assert watched(b"{}", b"{}", encoding=OPAQUE).contents == 2
    assert watched(b"{}", encoding="zstd").contents == 1


@pytest.mark.parametrize(
    ("last", "closed"),
    [
        (STOP, True),
        (DELTA, True),
        (OVERLOAD, True),
        (event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 1}), False),
        (event("message_delta"), False),
        (WORD, False),
    ],
)
def test_only_a_stop_reason_the_last_event_or_an_error_close_a_stream(
    last: bytes, closed: bool
) -> None:
    """A delta that says nothing of a stop may have another behind it."""
    watch = watched(START, BLOCK, WORD, last)
    assert watch.closed is watch.complete is closed


def test_a_stream_that_cannot_be_read_is_never_closed() -> None:
    """It may end anywhere, but nobody knows whether something is missing."""
    watch = watched(b"?", encoding="zstd")
    assert watch.complete
    assert not watch.closed

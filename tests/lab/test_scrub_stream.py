"""A secret spelled over several events of a stream is found, and the joined text agrees."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from labkit.lab.scrub import scrub_text
from labkit.lab.scrub_stream import scrub_deltas

KEY = "sk-ant-" + "api03-AbC_123-xyz"
ORGANISATION = "0f8b2c3d-1a2b-4c5d-8e9f-0123456789ab"
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
spoken = st.tuples(texts, st.sampled_from([KEY, ORGANISATION, "nothing"]), texts).map(" ".join)


def delta(text: str, index: int = 0, field: str = "text") -> bytes:
    """A delta as the API sends it."""
    data = {"type": "content_block_delta", "index": index, "delta": {"type": "x", field: text}}
    spelled = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return f"event: content_block_delta\ndata: {spelled}\n\n".encode()


def joined(events: list[bytes], index: int = 0, field: str = "text") -> str:
    """What a reader of the stream puts together."""
    found = [json.loads(event.partition(b"data: ")[2]) for event in events]
    return "".join(each["delta"].get(field, "") for each in found if each.get("index") == index)


@given(spoken, st.lists(st.integers(1, 7), min_size=1), st.sampled_from(["text", "thinking"]))
def test_no_secret_is_left_between_two_events(text: str, sizes: list[int], field: str) -> None:
    """However the text is cut, the stream says what the scrubbed whole says."""
    pieces, rest = [], text
    for size in sizes * (len(text) + 1):
        pieces.append(rest[:size])
        rest = rest[size:]
    cleaned = scrub_deltas([delta(piece, field=field) for piece in pieces if piece])
    assert scrub_text(joined(cleaned, field=field)) == scrub_text(text)
    assert KEY[8:] not in joined(cleaned, field=field) or KEY in joined(cleaned, field=field)


def test_events_without_a_secret_are_untouched() -> None:
    """Nothing is spelled anew that need not be."""
    events: list[Any] = [b": hello\n\n", delta("one"), b"event: ping\ndata: {}\n\n", delta("two")]
    broken = b'event: content_block_delta\ndata: {"delta": {"te'
    assert scrub_deltas([*events, broken]) == [*events, broken]


def test_blocks_are_joined_each_for_itself() -> None:
    """Half a key in one block and half in the next is no key."""
    events = [delta(KEY[:9], 0), delta(KEY[9:], 1)]
    assert scrub_deltas(events) == events


def test_the_first_event_says_it_all() -> None:
    """The number of events stays, so that their times still fit."""
    cleaned = scrub_deltas([delta("key "), delta(KEY[:10]), delta(KEY[10:]), delta(" end")])
    assert len(cleaned) == 4
    assert joined(cleaned[:1]) == "key scrubbed end"

"""The size of pictures, read off the heads of their files."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.context.pictures import picture_size, picture_tokens


def png(width: int, height: int) -> bytes:
    """Return the head of a PNG file."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height)


def jpeg(width: int, height: int) -> bytes:
    """Return the head of a JPEG file, with a segment to skip."""
    skipped = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF" + bytes(10)
    return b"\xff\xd8" + skipped + b"\xff\xc0" + struct.pack(">HBHHB", 17, 8, height, width, 3)


def source(head: bytes) -> dict[str, str]:
    """Return the source of an image block."""
    return {"type": "base64", "data": base64.b64encode(head).decode()}


@pytest.mark.parametrize("head", [png, jpeg])
def test_a_small_picture_counts_by_its_pixels(head: object) -> None:
    """750 of them a token."""
    assert callable(head)
    assert picture_size(source(head(300, 250))["data"]) == (300, 250)
    assert picture_tokens(source(head(300, 250)), "new") == 100


def test_a_large_picture_is_scaled_down() -> None:
    """To the most of its generation."""
    assert picture_tokens(source(png(8000, 6000)), "old") == 1600
    assert picture_tokens(source(png(8000, 6000)), "new") == 4784


@pytest.mark.parametrize(
    "other",
    [
        None,
        {"type": "url", "url": "https://example.com/a.png"},
        {"type": "base64", "data": "äöü"},
        {"type": "base64", "data": "AA=="},
        source(png(0, 0)),
        source(jpeg(1, 1)[:24]),
        source(b"GIF89a"),
    ],
)
def test_what_cannot_be_read_counts_with_the_most(other: object) -> None:
    """It is not looked up anywhere."""
    assert picture_tokens(other, "new") == 4784


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"]))
def test_no_bytes_break_it(data: bytes, start: bytes) -> None:
    """Whatever a file holds, it has a number of tokens."""
    assert 1 <= picture_tokens(source(start + data), "new") <= 4784

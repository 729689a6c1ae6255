"""How many tokens a picture takes, read off the head of its file where that is at hand.

About one token for 750 pixels, after scaling down to the most a picture may take: some 1,600
tokens for older models and 4,784 from Claude 4.7 on (the vision page of the documentation).
A picture by URL or file id, or in a format not read here, counts with the most.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping

__all__ = ["picture_size", "picture_tokens"]

PIXELS_PER_TOKEN = 750
MOST_TOKENS = {"new": 4784, "old": 1600}
HEAD = 64 * 1024
"""Characters of base64 to look into, enough for the heads of files with a thumbnail."""
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
SIZED = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""The JPEG segments that say how large the picture is."""


def picture_tokens(source: object, generation: str) -> int:
    """Estimate an image block by its `source`."""
    most = MOST_TOKENS[generation]
    data = source.get("data") if isinstance(source, Mapping) else None
    size = picture_size(data) if isinstance(data, str) else None
    if size is None:
        return most
    return min(most, math.ceil(size[0] * size[1] / PIXELS_PER_TOKEN))


def picture_size(data: str) -> tuple[int, int] | None:
    """Return width and height of a PNG or JPEG file in base64, None for anything else."""
    try:
        head = base64.b64decode(data[:HEAD])
    except ValueError:
        return None
    if head.startswith(PNG) and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return (width, height) if width and height else None
    return _jpeg_size(head) if head.startswith(JPEG) else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Go from segment to segment up to the one with the size."""
    at = 2
    while at + 9 <= len(head) and head[at] == 0xFF:
        kind, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if kind in SIZED:
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return (width, height) if width and height else None
        at += 2 + length
    return None

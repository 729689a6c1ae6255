"""From a stored body to the values in it: JSON, JSON Lines or the end of a stream.

A body may be bytes, text or a tree that some serialiser already parsed.  Compression is told
by its magic number, since recorders keep or drop the header as they please.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass

from labkit.errors import UserError
from labkit.recorded.stream import is_event_stream, read_streams

__all__ = ["Parsed", "parse_text", "read_body", "text_of"]

GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values found, in order (`Streamed` for a stream), and where the text broke off."""

    values: list[object]
    cut: str | None = None


def read_body(body: object) -> Parsed:
    """Read a response body.

    Raises `UserError` for bytes that are neither text nor gzip; a text that is none of the
    three forms holds no values.
    """
    if isinstance(body, str) and body.startswith(GZIP.decode("latin-1")):
        body = body.encode("latin-1", "replace")
    if isinstance(body, bytes):
        body = text_of(body)
    if isinstance(body, str):
        return parse_text(body) or Parsed([])
    return Parsed([] if body is None else [body])


def text_of(data: bytes) -> str:
    """Decode bytes, gunzipping them first if they are gzip.

    Raises `UserError` when that does not give text.
    """
    try:
        plain = gzip.decompress(data) if data.startswith(GZIP) else data
    except (OSError, EOFError, zlib.error):
        raise UserError("its gzip data is cut short or damaged") from None
    try:
        text = plain.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UserError("it is binary, not text")
    return text


def parse_text(text: str) -> Parsed | None:
    """Read JSON, JSON Lines or event streams; None if the text is none of them."""
    if is_event_stream(text):
        return Parsed(list(read_streams(text)))
    try:
        return Parsed([json.loads(text)])
    except (ValueError, RecursionError):
        return _json_lines(text)


def _json_lines(text: str) -> Parsed | None:
    """Read one JSON object a line; only the last may be cut."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    values: list[object] = []
    for number, line in lines:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            return Parsed(values, f"line {number} is not whole JSON") if values else None
        values.append(value)
    return Parsed(values) if values else None

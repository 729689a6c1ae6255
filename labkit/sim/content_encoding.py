"""A compressed request body as what it says, or the refusal of one that cannot be read.

The API judges a body again after decoding, with error codes of their own (claude-api.md 3.1,
3.2).  Which encodings it takes is not established: here it is gzip, in one member, and none.
"""

from __future__ import annotations

import zlib

from labkit.sim.problem import ApiError

__all__ = ["decoded"]

GZIP = 16 + zlib.MAX_WBITS
"""What tells zlib to expect a gzip header."""


def decoded(content: bytes, encoding: str, most: int) -> bytes | ApiError:
    """Return the body behind a `content-encoding` header; no more than `most` bytes are made.

    >>> decoded(b"{}", "br", 100).status
    400
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return content
    if name not in ("gzip", "x-gzip"):
        message = "content-encoding: only gzip and identity are supported"
        return ApiError(400, "invalid_request_error", message, "request_body_encoding_unsupported")
    reader = zlib.decompressobj(GZIP)
    try:
        plain = reader.decompress(content, most + 1)
    except zlib.error:
        return _invalid()
    if len(plain) > most:
        return ApiError(
            413,
            "request_too_large",
            "Request exceeds the maximum size",
            "request_body_too_large_after_decoding",
        )
    return plain if reader.eof and not reader.unused_data else _invalid()


def _invalid() -> ApiError:
    message = "The request body is not valid gzip"
    return ApiError(400, "invalid_request_error", message, "request_body_encoding_invalid")

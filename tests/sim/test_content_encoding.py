"""Compressed bodies are read, or refused with the API's own codes."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.content_encoding import decoded
from labkit.sim.problem import ApiError


@given(st.binary(max_size=400))
def test_gzip_there_and_back(content: bytes) -> None:
    """What was compressed comes out as it went in."""
    assert decoded(gzip.compress(content), "GZIP", 400) == content


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_what_is_not_compressed_stays_as_it_is(encoding: str) -> None:
    """No encoding is an encoding too."""
    assert decoded(b"{}", encoding, 1) == b"{}"


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "chunked", "\xff"])
def test_another_encoding_is_not_supported(encoding: str) -> None:
    """The 400 has a code that says so."""
    assert code(decoded(b"{}", encoding, 100)) == (400, "request_body_encoding_unsupported")


WHOLE = gzip.compress(b'{"model": 1}', mtime=0)


@pytest.mark.parametrize(
    "content", [b"", b"{}", WHOLE[:-1], WHOLE + b"x", WHOLE + WHOLE, WHOLE[:10] + b"\xff" * 9]
)
def test_what_is_no_gzip_is_invalid(content: bytes) -> None:
    """Cut short, followed by more, or none at all."""
    assert code(decoded(content, "gzip", 100)) == (400, "request_body_encoding_invalid")


def test_a_body_may_be_as_large_as_allowed_after_decoding_and_no_larger() -> None:
    """A bomb is a 413, and takes no more memory than the limit."""
    assert decoded(gzip.compress(b"x" * 1000), "gzip", 1000) == b"x" * 1000
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        refused = decoded(bomb, "gzip", 1000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert code(refused) == (413, "request_body_too_large_after_decoding")


def code(refused: bytes | ApiError) -> tuple[int, str | None]:
    """Return status and error code of a refusal."""
    assert isinstance(refused, ApiError)
    return refused.status, refused.code

"""The simulated tokenizer: characters by a documented ratio, counted block by block."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.tokens import count_prompt, count_text, first_tokens, walk

NEW, OLD = "claude-haiku-5-5", "claude-haiku-4-5"
texts = st.text(max_size=200)
EPHEMERAL = {"type": "ephemeral"}


@given(texts)
def test_the_newer_tokenizer_makes_more_of_the_same_text(text: str) -> None:
    """2.5 characters to a token against 3.4, and nothing for nothing."""
    assert count_text(text, NEW) == ceil(len(text) / 2.5) >= count_text(text, OLD)
    assert (count_text(text, OLD) == 0) == (text == "")


@given(texts, st.integers(0, 100), st.sampled_from([NEW, OLD]))
def test_first_tokens_are_a_beginning_of_so_many(text: str, tokens: int, name: str) -> None:
    """All of it where there are fewer."""
    part = first_tokens(text, tokens, name)
    assert text.startswith(part)
    assert count_text(part, name) <= tokens
    if count_text(text, name) <= tokens:
        assert part == text


@given(st.lists(texts, min_size=1, max_size=5), texts)
def test_a_string_counts_like_a_block_of_text(turns: list[str], system: str) -> None:
    """And a breakpoint counts nothing."""
    plain: dict[str, Any] = {"model": NEW, "system": system, "messages": []}
    blocks: dict[str, Any] = {**plain, "system": [], "messages": []}
    if system:
        blocks["system"] = [{"type": "text", "text": system, "cache_control": EPHEMERAL}]
    for turn in turns:
        block = {"type": "text", "text": turn, "cache_control": EPHEMERAL}
        plain["messages"].append({"role": "user", "content": turn})
        blocks["messages"].append({"role": "user", "content": [block]})
    assert count_prompt(plain) == count_prompt(blocks) == sum(n for _, _, n in walk(plain))


@given(st.lists(texts, max_size=4))
def test_every_message_costs_its_framing(turns: list[str]) -> None:
    """Three tokens, which count with the next block or at the end."""
    messages = [{"role": "user", "content": turn} for turn in turns]
    expected = sum(count_text(turn, NEW) + 3 for turn in turns)
    assert count_prompt({"model": NEW, "messages": messages}) == expected


@pytest.mark.parametrize("kind", ["image", "document"])
def test_an_image_counts_flat(kind: str) -> None:
    """However large its bytes are."""
    source = {"type": "base64", "media_type": "image/png", "data": "A" * 9_999}
    messages = [{"role": "user", "content": [{"type": kind, "source": source}]}]
    assert count_prompt({"model": NEW, "messages": messages}) == 1_503

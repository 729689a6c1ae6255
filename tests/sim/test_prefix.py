"""Prefixes: blocks in the order of the prompt, alike exactly as far as two requests are alike."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.prefix import Prefix, read_prefix
from labkit.sim.tokens import count_prompt

MODEL = "claude-haiku-5-5"
EPHEMERAL = {"type": "ephemeral"}
TOOLS = [{"name": name, "input_schema": {"type": "object"}} for name in ("look", "count")]
BODY: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 9,
    "tools": TOOLS,
    "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}],
    "messages": [
        {"role": "user", "content": "Hello there."},
        {"role": "assistant", "content": [{"type": "text", "text": "Good day."}]},
        {"role": "user", "content": "How do queues grow?"},
    ],
}


def of(model: str = MODEL, workspace: str = "", **changes: Any) -> Prefix:
    """Read the body with changes."""
    return read_prefix({**BODY, **changes}, model, workspace)


def shared(one: Prefix, other: Prefix) -> list[str]:
    """Return the levels of the blocks at the start that two prefixes have in common."""
    pairs = zip(one.blocks, other.blocks, strict=False)
    return [a.level for a, _ in takewhile(lambda pair: pair[0].digest == pair[1].digest, pairs)]


def test_blocks_come_as_tools_system_messages() -> None:
    """Whatever the order of the keys, with the framing last."""
    levels = ["tools"] * 2 + ["system"] * 2 + ["messages"] * 3 + ["end"]
    assert [block.level for block in of().blocks] == levels
    turned = read_prefix(dict(reversed(BODY.items())), MODEL)
    assert turned == of()


def test_tokens_add_up_to_those_of_the_prompt() -> None:
    """Block by block more, and all of them in the end."""
    tokens = [block.tokens for block in of().blocks]
    assert tokens == sorted(tokens)
    assert of().tokens == tokens[-1] == count_prompt(BODY)


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, 8),
        ({"tools": TOOLS[::-1]}, 0),
        ({"tools": [TOOLS[0], {**TOOLS[1], "description": "Count."}]}, 1),
        ({"system": "Be brief."}, 3),
        ({"system": [BODY["system"][0], {"type": "text", "text": "Be rude."}]}, 3),
        ({"speed": "fast"}, 2),
        ({"tools": [*TOOLS, {"type": "web_search_20250305", "name": "web_search"}]}, 2),
        ({"tool_choice": {"type": "any"}}, 4),
        ({"thinking": {"type": "adaptive"}}, 4),
        ({"output_config": {"effort": "low"}}, 4),
        ({"messages": BODY["messages"][:2]}, 6),
        ({"messages": [{"role": "user", "content": "Hello."}, *BODY["messages"][1:]]}, 4),
        ({"max_tokens": 5_000, "stream": True, "metadata": {"user_id": "u"}}, 8),
        ({"cache_control": EPHEMERAL}, 8),
    ],
    ids=str,
)
def test_a_change_leaves_what_comes_before_it(changes: dict[str, Any], kept: int) -> None:
    """What invalidates which level (claude-api.md 5), and what invalidates nothing."""
    assert len(shared(of(), of(**changes))) == kept


def test_an_image_anywhere_invalidates_all_messages() -> None:
    """And citations the system prompt as well."""
    source = {"type": "base64", "media_type": "image/png", "data": "AA=="}
    image = {"role": "user", "content": [{"type": "image", "source": source}]}
    assert len(shared(of(), of(messages=[*BODY["messages"][:2], image]))) == 4
    paper: dict[str, Any] = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "x"},
    }
    cited = {**paper, "citations": {"enabled": True}}
    plain, with_citations = (
        of(messages=[*BODY["messages"][:2], {"role": "user", "content": [document]}])
        for document in (paper, cited)
    )
    assert len(shared(plain, with_citations)) == 2


def test_nothing_is_shared_across_models_or_workspaces() -> None:
    """However alike the words are."""
    assert shared(of(), of(model="claude-opus-5-5")) == []
    assert shared(of(), of(workspace="other")) == []


def test_breakpoints_stand_where_they_are_set() -> None:
    """They are no part of the words, so a prefix is the same with and without."""
    marked = of(
        tools=[TOOLS[0], {**TOOLS[1], "cache_control": EPHEMERAL}],
        system=[
            {**BODY["system"][0], "cache_control": {**EPHEMERAL, "ttl": "1h"}},
            BODY["system"][1],
        ],
    )
    assert [(place, marked.blocks[place].ttl) for place in marked.breakpoints] == [
        (1, "5m"),
        (2, "1h"),
    ]
    assert len(shared(marked, of())) == 8


def test_an_automatic_breakpoint_is_the_last_block_of_all() -> None:
    """Unless that has one of its own; a prompt without blocks has none."""
    automatic = of(cache_control={**EPHEMERAL, "ttl": "1h"})
    assert [automatic.blocks[place].ttl for place in automatic.breakpoints] == ["1h"]
    assert automatic.breakpoints == [len(automatic.blocks) - 2]
    last = {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": EPHEMERAL}]}
    own = of(messages=[last], cache_control=EPHEMERAL)
    assert len(own.breakpoints) == 1
    assert read_prefix({"messages": [], "cache_control": EPHEMERAL}, MODEL).breakpoints == []


words = st.lists(st.sampled_from(["one", "two", "three"]), max_size=6)


@given(words, words)
def test_two_prefixes_agree_exactly_as_far_as_their_words(one: list[str], other: list[str]) -> None:
    """Digests are of everything up to a block, so after a difference nothing agrees any more."""

    def spoken(turns: list[str]) -> Prefix:
        return of(messages=[{"role": "user", "content": turn} for turn in turns])

    same = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))
    ours, theirs = spoken(one), spoken(other)
    assert shared(ours, theirs)[: 4 + same] == ["tools"] * 2 + ["system"] * 2 + ["messages"] * same
    if one != other:
        after = zip(ours.blocks[4 + same : -1], theirs.blocks[4 + same : -1], strict=False)
        assert all(a.digest != b.digest for a, b in after)

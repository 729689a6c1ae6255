"""Answers made here: the same as a Message and as a stream, and never without their label."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from anthropic import types
from hypothesis import given
from hypothesis import strategies as st

from labkit.layers.fallback import Fallback
from labkit.layers.ready import (
    AsyncReadyStream,
    ReadyStream,
    put_label,
    ready_message,
    rung_of,
)
from labkit.layers.rungs import stale
from tests.wire import message, refusal
from tests.world import Script, World

USES = [
    {"type": "text", "text": "I look it up."},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"place": ["Ulm", 2]}},
]
KEPT = types.Message.model_validate(message(content=USES, stop_reason="tool_use"))


@given(st.text(), st.sampled_from(["end_turn", "refusal"]))
def test_a_ready_message_says_the_text_and_who_made_it(text: str, stop_reason: str) -> None:
    """It costs no tokens, and no model's name is on it."""
    made = ready_message(text, "canned", stop_reason)
    assert [block.text for block in made.content if block.type == "text"] == [text]
    assert (made.model, made.stop_reason) == ("labkit/canned", stop_reason)
    assert (made.usage.input_tokens, made.usage.output_tokens) == (0, 0)
    assert types.Message.model_validate(made.to_dict()) == made


def test_the_label_is_read_where_it_was_put() -> None:
    """On a Message and on its streams; a plain thing carries none."""
    made = ready_message("Later.", "canned")
    assert rung_of(made) is None
    put_label(made, "canned")
    assert [rung_of(one) for one in (made, ReadyStream(made))] == ["canned", "canned"]
    text = "Later."
    put_label(text, "canned")
    assert rung_of(text) is None


def test_a_message_with_a_tool_call_is_the_same_as_a_stream(world: World) -> None:
    """The SDK's own helper puts it together again."""
    ladder = Fallback(stale(lambda _: KEPT))
    final = world.run(lambda api: api.final(), Script(refusal()), [ladder])
    assert [block.to_dict() for block in final.content] == [b.to_dict() for b in KEPT.content]
    assert (final.stop_reason, final.usage.output_tokens) == ("tool_use", 2)


def test_a_ready_stream_can_be_read_in_every_way_of_a_stream(world: World) -> None:
    """By iteration, by the next event, within `with`, and it can be closed."""

    async def ways(api: Any) -> list[str]:
        calls, seen = api.client.messages, []
        first = await api.result(calls.create(**ASKED, stream=True))
        seen.append((first.__next__() if world.kind == "sync" else await anext(first)).type)
        await api.result(first.close())
        opened = await api.result(calls.create(**ASKED, stream=True))
        if world.kind == "sync":
            with opened:
                seen.extend(event.type for event in opened)
        else:
            async with opened:
                seen.extend([event.type async for event in opened])
        return seen

    seen = world.run(ways, Script(refusal()), [Fallback(stale(lambda _: KEPT))])
    assert seen[0] == "message_start"
    assert seen[1:].count("content_block_start") == 2
    assert seen[-1] == "message_stop"


ASKED: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 16,
    "messages": [{"role": "user", "content": "Hi"}],
}


@pytest.mark.parametrize(
    ("kind", "base"), [(ReadyStream, anthropic.Stream), (AsyncReadyStream, anthropic.AsyncStream)]
)
def test_a_ready_stream_is_one_of_the_sdks(kind: Any, base: Any) -> None:
    """Whoever asks for its type, or for the headers of its response, gets an answer."""
    made = kind(KEPT)
    assert isinstance(made, base)
    assert made.response.headers["content-type"] == "text/event-stream"

"""Summaries by a cheaper model through the SDK: what they remember, what their failure costs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import TextBlock

from labkit.context.summaries import Rolling
from labkit.context.summarising import (
    async_writer,
    fit,
    fit_async,
    summary_request,
    summary_text,
    writer,
)
from labkit.context.summary_parts import Message
from labkit.context.summary_tree import Tree
from labkit.context.transcripts import transcript
from labkit.sim.faults import Fault
from labkit.sim.tokens import count_text
from tests.context.chats import assistant, call, result, user
from tests.scenes import Scene

CHEAP = "claude-haiku-5-5"
FACTS = [f"code {number} is {number * number + 7}" for number in range(0, 80, 8)]


def size(message: Any) -> int:
    """Count tokens as the simulated API does."""
    return count_text(json.dumps(message["content"]), CHEAP)


def history() -> list[Message]:
    """Talk for 80 exchanges; in every eighth a fact is planted."""
    said: list[Message] = []
    for number in range(80):
        fact = f" FACT: {FACTS[number // 8]}." if number % 8 == 0 else ""
        said.append(user(f"Question {number} about rivers {'and so on ' * 20}{fact}"))
        said.append(assistant("Answer " + "so it is " * 30))
    return said


def memory(kind: type[Rolling]) -> Rolling:
    """Make a memory that folds some eight times in that talk."""
    return kind(high=4000, low=2000, size=size)


def recall(sent: list[Message]) -> float:
    """Return the share of the planted facts that is still in what is sent."""
    text = json.dumps(sent)
    return sum(fact in text for fact in FACTS) / len(FACTS)


def recalled(kind: type[Rolling], seeds: range, faults: list[Fault]) -> float:
    """Return the mean recall after the talk, with summaries by a simulated cheap model."""
    total, said = 0.0, history()
    for seed in seeds:
        kept, write = memory(kind), writer(Scene(seed=seed, faults=faults).client(), CHEAP)
        for end in range(1, len(said), 2):
            sent = fit(kept, said[:end], write)
        total += recall(sent)
    return total / len(seeds)


def test_a_tree_remembers_more_than_a_rolling_summary_and_trimming_the_latest_alone() -> None:
    """Planted facts that are still there: each time a summary is summed up, some are lost."""
    rolling, tree = (recalled(kind, range(5), []) for kind in (Rolling, Tree))
    assert recalled(Rolling, range(1), [Fault("overloaded")]) == 0.1
    assert 0.3 < rolling < tree - 0.1
    assert 0.7 < tree < 1.0


def test_sync_and_async_send_the_same() -> None:
    """One memory, either client."""
    said, scene = history()[:-1], Scene(seed=3)
    expected = fit(memory(Tree), said, writer(Scene(seed=3).client(), CHEAP))

    async def main() -> list[Message]:
        write = async_writer(scene.async_client(), CHEAP)
        return await fit_async(memory(Tree), said, write)

    sent = scene.run(main)
    assert sent == expected
    assert recall(sent) > 0


def test_an_outage_of_the_summariser_trims_in_the_async_world_too() -> None:
    """The latest turns are sent, and the reason is kept."""
    said, scene, kept = history()[:-1], Scene(faults=[Fault("overloaded")]), memory(Rolling)

    async def main() -> list[Message]:
        return await fit_async(kept, said, async_writer(scene.async_client(), CHEAP))

    assert scene.run(main) == said[kept.start :]
    assert kept.reason.startswith("OverloadedError")


@pytest.mark.parametrize("reason", ["max_tokens", "refusal", None])
def test_a_summary_that_is_not_whole_is_none(reason: str | None) -> None:
    """Cut short, refused, or out of a stream that never ended."""
    reply = {"stop_reason": reason, "content": [{"type": "text", "text": "The invoice is"}]}
    with pytest.raises(ValueError, match="the summary ended with"):
        summary_text(reply)


def test_the_conversation_is_material_in_the_request_for_a_summary() -> None:
    """It stands in one user's turn, between marks, whatever it contains."""
    body = summary_request("User: Hi", CHEAP, 50)
    assert body["messages"] == [user("<conversation>\nUser: Hi\n</conversation>")]
    assert (body["model"], body["max_tokens"]) == (CHEAP, 50)


def test_a_transcript_names_who_says_what_and_leaves_thinking_out() -> None:
    """Tool calls and results are told, images named."""
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}
    block = TextBlock(type="text", text="Wet.", citations=None)
    image = {"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}
    told = transcript(
        [
            {"role": "user", "content": [{"type": "text", "text": "Rain?"}, image]},
            {"role": "assistant", "content": [thinking, *call()["content"]]},
            result(text="wet"),
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": [block]},
        ]
    )
    assert told.splitlines() == [
        "User: Rain?",
        "User: [image]",
        'Assistant calls look_up: {"what": "rain"}',
        "User is told by a tool: wet",
        "System: Be brief.",
        "Assistant: Wet.",
    ]

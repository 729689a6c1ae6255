"""Summaries take the place of old turns; without them a conversation is trimmed, never broken."""

from __future__ import annotations

import json
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.context.summaries import Rolling, Summary
from labkit.context.summarising import fit
from labkit.context.summary_parts import HEADING
from labkit.context.summary_tree import Tree
from labkit.context.transcripts import transcript
from labkit.errors import CassetteMiss, UserError
from labkit.sim.validation import VERSIONS, complaint
from tests.context.chats import Message, assistant, call, result, user

KINDS = (Rolling, Tree)
MODEL = "claude-opus-5-5"


def size(message: Any) -> int:
    """Count characters."""
    return len(json.dumps(message))


def short(prompt: str) -> str:
    """Sum up in a few words."""
    return f"{prompt.count('User:')} questions"


def broken(_: str) -> str:
    """Fail."""
    raise RuntimeError("overloaded")


def chat(exchanges: int) -> list[Message]:
    """Talk for a while; every third exchange calls a tool."""
    said: list[Message] = []
    for number in range(exchanges):
        said.append(user(f"question {number} " + "q" * 60))
        if number % 3 == 2:
            said += [call(f"toolu_{number}"), result(f"toolu_{number}")]
        said.append(assistant(f"answer {number} " + "a" * 60))
    return said


def valid(messages: Any) -> bool:
    """Ask the simulated API."""
    body = {"model": MODEL, "max_tokens": 5, "messages": messages}
    problem = complaint(body, version=VERSIONS[1], today=date(2026, 11, 22))
    assert problem is None, problem
    return True


def turns_of(kind: type[Rolling], write: Any, exchanges: int = 40, **more: Any) -> list[Any]:
    """Play a conversation, request by request, and return (memory, what was sent each time)."""
    memory = kind(high=3000, low=1000, size=size, **more)
    history = chat(exchanges)
    asked = [n + 1 for n, each in enumerate(history) if each["role"] == "user"]
    return [memory, [fit(memory, history[:end], write) for end in asked], history]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("write", [short, broken])
def test_what_is_sent_is_valid_below_the_high_water_and_ends_with_the_latest(
    kind: type[Rolling], write: Any
) -> None:
    """With summaries and without."""
    _, sent, history = turns_of(kind, write)
    for messages in sent:
        assert valid(messages)
        assert sum(map(size, messages)) <= 3000
    assert sent[-1][-1] == [each for each in history if each["role"] == "user"][-1]


def test_a_short_conversation_is_sent_as_it_is() -> None:
    """Nobody is asked for a summary."""
    history = chat(3)
    assert fit(Rolling(high=3000, low=1000, size=size), history, broken) == history


def test_the_summary_stands_between_what_is_pinned_and_the_recent_turns() -> None:
    """Pinned turns are never folded."""
    memory, sent, history = turns_of(Rolling, short, pinned=2)
    assert sent[-1][:2] == history[:2]
    assert sent[-1][2]["content"][0]["text"].startswith(HEADING)
    assert memory.summaries[0].first == 2
    assert sent[-1][3:] == history[memory.covered : len(history) - 1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("write", [short, broken])
def test_between_two_folds_the_prompt_only_grows_at_its_end(
    kind: type[Rolling], write: Any
) -> None:
    """So the prompt cache goes on being read."""
    _, sent, _ = turns_of(kind, write)
    breaks = sum(after[: len(before)] != before for before, after in pairwise(sent))
    assert 1 <= breaks <= 8


def test_a_rolling_summary_is_one_and_covers_all_that_was_let_go() -> None:
    """Each is made of the one before it and the next block."""
    prompts: list[str] = []

    def write(prompt: str) -> str:
        prompts.append(prompt)
        return short(prompt)

    memory, _, _ = turns_of(Rolling, write)
    (only,) = memory.summaries
    assert (only.first, only.end) == (0, memory.start)
    assert all(prompt.startswith("Earlier summary: ") for prompt in prompts[1:])
    assert len(prompts) > 2


def test_the_summaries_of_a_tree_follow_each_other_and_their_levels_fall() -> None:
    """Two of a level become one of the next, so a turn is summed up a few times at most."""
    memory, _, _ = turns_of(Tree, short, exchanges=200, fan=2)
    ends = [each.end for each in memory.summaries]
    levels = [each.level for each in memory.summaries]
    assert [each.first for each in memory.summaries] == [0, *ends[:-1]]
    assert ends[-1] == memory.start
    assert levels == sorted(set(levels), reverse=True)
    assert levels[0] >= 3


def test_a_block_that_was_let_go_is_folded_when_summaries_come_again() -> None:
    """Nothing is lost by an outage of the summariser, which is asked less and less often."""
    calls: list[int] = []

    def down(prompt: str) -> str:
        calls.append(len(prompt))
        raise RuntimeError("overloaded")

    memory, _, history = turns_of(Rolling, down)
    assert memory.summaries == ()
    assert memory.failures == len(calls) < 10
    assert memory.reason == "RuntimeError: overloaded"
    folded: list[str] = []

    def up(prompt: str) -> str:
        begins = history[memory.covered]
        assert (begins["role"], type(begins["content"])) == ("user", str)
        folded.append(prompt)
        return "short"

    for _ in range(100):
        fit(memory, history, up)
    assert len(folded) > 2
    assert (memory.covered, memory.reason) == (memory.start, "")
    text, gone = "\n".join(folded), transcript(history[: memory.start])
    assert gone.count("question ") > 30
    assert all(line in text for line in gone.splitlines())
    assert max(map(len, folded)) < 5000


@pytest.mark.parametrize("text", ["", "   ", "x" * 100_000])
def test_a_summary_that_is_no_use_is_none(text: str) -> None:
    """An empty one, or one that is longer than what it stands for."""
    memory, _, _ = turns_of(Rolling, lambda _: text)
    assert memory.summaries == ()
    assert "the summary was" in memory.reason


def test_a_bench_error_is_never_degraded_away() -> None:
    """A missing recording is the bench's fault, and to be seen."""

    def missing(_: str) -> str:
        raise CassetteMiss("never recorded")

    with pytest.raises(CassetteMiss):
        turns_of(Rolling, missing)


def test_system_turns_that_were_let_go_are_still_sent_once_each() -> None:
    """An instruction in mid-conversation holds for good."""
    history = chat(40)
    rule = {"role": "system", "content": "Answer in French."}
    history[1:1] = [rule]
    history[6:6] = [rule]
    memory = Rolling(high=3000, low=1000, size=size)
    sent = fit(memory, history[:-1], short)
    assert memory.start > 10
    assert [each for each in sent if each["role"] == "system"] == [rule]
    assert valid(sent)


def test_a_memory_goes_on_from_the_summaries_of_another() -> None:
    """After a restart, with the history from the archive."""
    first, _, history = turns_of(Rolling, short)
    again = Rolling(high=3000, low=1000, size=size, summaries=first.summaries)
    assert fit(again, history[:-1], broken) == fit(first, history[:-1], broken)


def test_the_brief_of_a_fresh_start_covers_everything() -> None:
    """What is summed up already, and the rest."""
    memory, _, history = turns_of(Rolling, short)
    told = memory.everything(history)
    assert told.startswith(f"Earlier summary: {memory.summaries[0].text}")
    assert told.endswith(transcript(history[memory.covered :]))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Rolling(high=10, low=10, size=size), "low water"),
        (lambda: Tree(high=10, low=5, size=size, fan=1), "At least two summaries"),
        (lambda: Rolling(high=10, low=5, size=size).due([]), "another conversation"),
        (
            lambda: Rolling(high=9, low=5, size=size, summaries=[Summary(0, 9, "x")]).due(chat(2)),
            "another conversation",
        ),
        (lambda: Rolling(high=9, low=5, size=size, pinned=1).due(chat(2)), "is pinned ends"),
    ],
)
def test_what_makes_no_sense_is_said(wrong: Any, said: str) -> None:
    """In one sentence."""
    with pytest.raises(UserError, match=said):
        wrong()


EXCHANGE = st.lists(st.sampled_from(["tool", "system", "long", "plain"]), max_size=3)


@given(
    shapes=st.lists(EXCHANGE, min_size=1, max_size=30),
    fails=st.lists(st.booleans(), min_size=1, max_size=8),
    kind=st.sampled_from(KINDS),
)
def test_any_conversation_stays_valid_whatever_the_summariser_does(
    shapes: list[list[str]], fails: list[bool], kind: type[Rolling]
) -> None:
    """Tool loops, system turns, long questions; failing now and then."""
    memory = kind(high=1500, low=500, size=size)
    history: list[Message] = []
    turn = 0

    def write(prompt: str) -> str:
        if fails[turn % len(fails)]:
            raise RuntimeError("down")
        return short(prompt)

    for turn, shape in enumerate(shapes):
        history.append(user("q" * (400 if "long" in shape else 20)))
        if "system" in shape:
            history.append({"role": "system", "content": f"rule {turn % 3}"})
        for step in range(2 if "tool" in shape else 0):
            history += [call(f"toolu_{turn}_{step}"), result(f"toolu_{turn}_{step}")]
        extra = history[-1]["role"] == "system"
        sent = fit(memory, history, write)
        assert valid(sent)
        assert [each for each in sent if each["role"] != "system"][-1] == history[-1 - extra]
        assert memory.start <= len(history)
        history.append(assistant("a"))
    assert memory.covered <= memory.start

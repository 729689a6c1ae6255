"""A history read once: where it may be cut, what stays together, and what is refused."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.context.history import History
from labkit.errors import UserError
from tests.context.conversations import Talk, talks

CALL = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}
OTHER = {**CALL, "id": "toolu_2"}


def user(*content: Any) -> dict[str, Any]:
    """A user's message."""
    return {"role": "user", "content": list(content) or "Why?"}


def assistant(*content: Any) -> dict[str, Any]:
    """An assistant's message."""
    return {"role": "assistant", "content": list(content) or "Because."}


def result(name: str) -> dict[str, Any]:
    """A tool result."""
    return {"type": "tool_result", "tool_use_id": name, "content": "found"}


def read(*messages: Any, **options: Any) -> History:
    """Read messages, one after the other."""
    history = History("new", **options)
    for message in messages:
        history.read(message)
    return history


def starts(history: History) -> list[tuple[int, tuple[int, ...]]]:
    """Return where cuts are, and which question stays in front."""
    return [(cut.start, cut.head) for cut in history.cuts]


def test_every_question_is_a_place_to_cut() -> None:
    """Two messages of the user's in a row are one question."""
    history = read(user(), assistant(), user(), user(), assistant(), user())
    assert starts(history) == [(0, ()), (2, ()), (5, ())]
    assert history.exchange == 3


def test_a_step_of_a_tool_loop_is_one_too_and_keeps_its_question() -> None:
    """After results, never between a call and its result."""
    loop = [user(), user(), assistant(CALL), user(result("toolu_1")), assistant(OTHER)]
    history = read(*loop, user(result("toolu_2")), assistant(), user())
    assert starts(history) == [(0, ()), (4, (0, 1)), (6, (0, 1)), (7, ())]


def test_results_that_come_one_by_one_are_one_turn() -> None:
    """As is an answer that comes in two messages."""
    history = read(
        user(),
        assistant(CALL),
        assistant(OTHER),
        user(result("toolu_1")),
        user(result("toolu_2")),
        assistant(),
        assistant(),
        user(),
    )
    assert starts(history) == [(0, ()), (5, (0,)), (7, ())]


def test_what_a_cut_loses_leaves_out_what_is_carried_along() -> None:
    """The question of a loop, pinned exchanges, and system turns."""
    steer = {"role": "system", "content": "Briefly."}
    messages = [user(), steer, assistant(), user(), assistant(), user()]
    plain, pinned = read(*messages), read(*messages, pin=lambda place, _: place == 0)
    frame_and_text = History("new")
    for message in messages[:3]:
        frame_and_text.read(message)
    assert plain.cuts[1].lost < frame_and_text.tokens
    assert plain.cuts[1].systems == 1
    assert pinned.cuts[1].lost == 0
    assert (pinned.cuts[2].pins, pinned.pins) == (1, [(0, 3)])


def test_a_system_turn_said_again_and_again_is_carried_once() -> None:
    """A reminder in every turn would fill the window in time."""
    steer = {"role": "system", "content": "Briefly."}
    other = {"role": "system", "content": "At length."}
    turns = [user(), steer, assistant()]
    assert read(*turns, *turns, *turns).systems == [1]
    assert read(*turns, user(), other, assistant(), *turns).systems == [1, 4, 7]


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([{"role": "robot", "content": "Hi"}], "Message 0 has the role 'robot'"),
        ([{"content": "Hi"}], "Message 0 has the role None"),
        (["Hi"], "Message 0 has the role None"),
        ([assistant()], "Message 0 is the assistant's"),
        ([user(result("toolu_1"))], "Message 0 has a result for 'toolu_1'"),
        ([user(), assistant(CALL), user(result("toolu_2"))], "Message 2 has a result for"),
        ([user(), assistant(CALL), user()], "'toolu_1' in message 1 is not followed"),
        ([user(), assistant(CALL, OTHER), user(result("toolu_1")), assistant()], "'toolu_2' in"),
        (
            [
                user(),
                assistant(CALL),
                user(result("toolu_1")),
                assistant(),
                user(result("toolu_1")),
            ],
            "4",
        ),
    ],
)
def test_what_cannot_become_a_valid_request_is_said_in_a_sentence(
    messages: list[Any], complaint: str
) -> None:
    """And has not been read: a corrected message takes its place."""
    history = read(*messages[:-1])
    before = (history.seen, history.tokens, len(history.cuts), dict(history.unanswered))
    with pytest.raises(UserError, match=complaint):
        history.read(messages[-1])
    assert (history.seen, history.tokens, len(history.cuts), history.unanswered) == before


@given(talks())
def test_a_later_cut_never_loses_less(talk: Talk) -> None:
    """So the first that fits can be looked up in no time."""
    history = read(*talk.messages, pin=lambda place, _: place % 7 == 0)
    losses = [cut.lost for cut in history.cuts]
    assert losses == sorted(losses)
    assert all(loss >= 0 for loss in losses)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "id", "content", "tool_use_id"]), inner)
    ),
    max_leaves=8,
)
MESSAGES = st.lists(
    ANYTHING
    | st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system", "tool"]), "content": ANYTHING}
    ),
    max_size=6,
)


@settings(max_examples=50)
@given(MESSAGES)
def test_no_json_breaks_the_reading(messages: list[Any]) -> None:
    """It is read, or refused with a sentence."""
    with suppress(UserError):
        assert read(*messages).seen == len(messages)

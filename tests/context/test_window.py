"""One conversation in a window: steady work, a stable prefix, changes of mind, and refusals."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.context import (
    Blocks,
    Limit,
    PriceAware,
    SlidingWindow,
    TokenBudget,
    Window,
    estimate_request,
)
from labkit.errors import ContextLimit, UserError
from tests.context.conversations import Talk, judged, talks
from tests.context.test_history import MESSAGES

MODEL = "claude-opus-5-5"
POLICY = Blocks(high=2000, low=1000)
MARK = {"type": "ephemeral"}


def body(messages: Any, **more: Any) -> dict[str, Any]:
    """Return a request."""
    return {"model": MODEL, "max_tokens": 100, "messages": messages, **more}


def turns(count: int) -> list[Any]:
    """Return a history of so many questions, all but the last answered."""
    history: list[Any] = []
    for number in range(count):
        history.append({"role": "user", "content": f"{number}: why do queues grow? " * 4})
        history.append({"role": "assistant", "content": f"{number}: because they do. " * 8})
    return history[:-1]


class Counted(list[Any]):
    """A history that counts how many of its messages are looked at."""

    looks = 0

    def __getitem__(self, place: Any) -> Any:
        """Count one, or as many as a slice has."""
        found = super().__getitem__(place)
        self.looks += len(found) if isinstance(place, slice) else 1
        return found


@pytest.mark.parametrize(
    "policy", [POLICY, TokenBudget(2000), SlidingWindow(5), PriceAware(TokenBudget(1000), 2000)]
)
def test_a_turn_looks_at_what_is_sent_however_long_the_history(policy: Any) -> None:
    """The most looked at in a turn is no more after 2,500 turns than after 100."""
    window, history = Window(policy), Counted(turns(1))
    looks = []
    for extra in turns(3000)[1:]:
        history.append(extra)
        if extra["role"] == "user":
            before = history.looks
            window.fit(body(history))
            looks.append(history.looks - before)
    assert max(looks[-500:]) <= max(looks[100:600]) < 200


def test_the_memory_of_a_window_does_not_grow() -> None:
    """It keeps the messages it sent and the cuts among them."""
    window = Window(POLICY)
    for count in range(1, 400):
        trimmed = window.fit(body(turns(count)))
    assert len(window._known) == len(trimmed.body["messages"])
    assert len(window._history.cuts) < 40


@settings(max_examples=200)
@given(talks(), st.integers(600, 4000), st.booleans())
def test_between_two_cuts_the_prompt_only_grows_at_its_end(
    talk: Talk, high: int, pins: bool
) -> None:
    """So what the prompt cache holds stays readable; pinned turns stay in front for good."""
    window = Window(Blocks(high, high // 2), pin=(lambda place, _: place == 0) if pins else None)
    last: list[Any] = []
    for length in talk.asked:
        try:
            trimmed = window.fit(talk.request(length))
        except ContextLimit:
            continue
        sent = trimmed.body["messages"]
        if not trimmed.cut:
            assert sent[: len(last)] == last
        last = list(sent)


def test_a_block_is_cut_from_high_water_down_to_low() -> None:
    """And then nothing for several turns."""
    window, cuts, sizes = Window(POLICY), [], []
    for count in range(1, 60):
        trimmed = window.fit(body(turns(count)))
        cuts.append(trimmed.cut)
        sizes.append(trimmed.tokens)
        assert trimmed.tokens <= (POLICY.low if trimmed.cut else POLICY.high)
    assert 3 <= sum(cuts) <= 8
    assert max(sizes) > 0.9 * POLICY.high


def test_where_low_water_is_out_of_reach_as_little_as_possible_is_cut() -> None:
    """A last question larger than that costs no more turns than it must."""
    history = [*turns(10)[:-1], {"role": "user", "content": "x" * 3000}]
    trimmed = Window(Blocks(high=1500, low=1000)).fit(body(history))
    assert 1300 < trimmed.tokens <= 1500


def test_in_a_long_tool_loop_the_question_and_the_last_steps_are_kept() -> None:
    """A loop has no other question to cut at."""
    history: list[Any] = [{"role": "user", "content": "Look up everything."}]
    for number in range(30):
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": "look_up", "input": {}}
        thought = {"type": "thinking", "thinking": "Hm. " * 20, "signature": "c2Vh"}
        history.append({"role": "assistant", "content": [thought, call]})
        found = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "yes " * 40}
        history.append({"role": "user", "content": [found]})
    trimmed = Window(POLICY).fit(body(history))
    sent = trimmed.body["messages"]
    assert sent[0] is history[0]
    assert sent[1:] == history[-len(sent) + 1 :]
    assert trimmed.dropped > 20
    assert judged(trimmed.body) == ""


def test_a_changed_history_is_read_anew_and_cut_where_it_was() -> None:
    """An answer generated again, a last question worded anew: the prefix stays."""
    window = Window(POLICY)
    for count in range(1, 30):
        window.fit(body(turns(count)))
    before = window.fit(body(turns(29)))
    edited = [*turns(29)[:-1], {"role": "user", "content": "Something else?"}]
    after = window.fit(body(edited))
    assert after.body["messages"][:-1] == before.body["messages"][:-1]
    assert after.body["messages"][-1]["content"] == "Something else?"
    other = [{"role": "user", "content": "Another conversation"}, *turns(29)[1:]]
    assert judged(window.fit(body(other)).body) == ""
    assert window.fit(body(turns(1))).body["messages"] == turns(1)


def test_breakpoints_that_move_along_change_nothing() -> None:
    """Programs that mark the last message themselves rewrite older ones in every turn."""
    window, plain = Window(POLICY), Window(POLICY)
    for count in range(1, 40):
        history = turns(count)
        said = {"type": "text", "text": history[-1]["content"], "cache_control": MARK}
        marked = [*history[:-1], {"role": "user", "content": [said]}]
        trimmed, expected = window.fit(body(marked)), plain.fit(body(history))
        assert (trimmed.dropped, trimmed.tokens) == (expected.dropped, expected.tokens)


def test_a_system_turn_that_is_carried_along_leaves_its_breakpoint_behind() -> None:
    """After the question's it could be one of a longer lifetime, which the API refuses."""
    steering = [{"type": "text", "text": "Briefly.", "cache_control": {**MARK, "ttl": "1h"}}]
    question = {"type": "text", "text": "Why?", "cache_control": MARK}
    history = turns(20)
    history.insert(1, {"role": "system", "content": steering})
    history[-1] = {"role": "user", "content": [question]}
    trimmed = Window(SlidingWindow(1)).fit(body(history))
    assert trimmed.dropped == 38
    assert trimmed.body["messages"][1]["content"] == [{"type": "text", "text": "Briefly."}]
    assert judged(body(history)) == judged(trimmed.body) == ""


def test_a_pinned_turn_that_was_reworded_is_counted_anew() -> None:
    """Though it lies before the cut."""
    window = Window(POLICY, pin=lambda place, _: place == 0)
    assert window.fit(body(turns(30))).cut
    reworded = [{"role": "user", "content": "Shorter."}, *turns(31)[1:]]
    trimmed = window.fit(body(reworded))
    assert trimmed.body["messages"][0] is reworded[0]
    assert trimmed.tokens == estimate_request(trimmed.body)


def test_another_tokenizer_counts_anew() -> None:
    """The old one counts fewer tokens for the same words."""
    window = Window(Limit(1_000_000))
    new = window.fit(body(turns(10)))
    old = window.fit({**body(turns(10)), "model": "claude-sonnet-4-6"})
    assert old.tokens < new.tokens
    assert window.fit(body(turns(10))).tokens == new.tokens


def test_budgets_hold_for_corrected_estimates() -> None:
    """Where replies report twice as much, half as many words are sent."""
    window, plain = Window(TokenBudget(1000)), Window(TokenBudget(1000))
    for count in range(1, 40):
        trimmed, uncorrected = window.fit(body(turns(count))), plain.fit(body(turns(count)))
        assert trimmed.estimated == estimate_request(trimmed.body)
        window.learn(trimmed, 2 * trimmed.estimated)
    assert 900 < trimmed.tokens <= 1000
    assert trimmed.error < 0.05
    assert trimmed.estimated == pytest.approx(uncorrected.estimated / 2, rel=0.2)


def test_a_message_larger_than_the_limit_is_refused_and_nothing_is_lost() -> None:
    """The next question goes out with the whole context there was."""
    window = Window(TokenBudget(1500))
    before = window.fit(body(turns(8)))
    large = [*turns(9)[:-1], {"role": "user", "content": "x" * 10_000}]
    with pytest.raises(ContextLimit, match="shorten the last message") as refused:
        window.fit(body(large))
    assert refused.value.retry_after is None
    after = window.fit(body(turns(9)))
    assert len(after.body["messages"]) >= len(before.body["messages"]) - 2
    assert large[-1]["content"] == "x" * 10_000


def test_a_limit_refuses_and_advises_and_never_cuts() -> None:
    """From four fifths of it on there is advice."""
    window, advised = Window(Limit(1000)), []
    for count in range(1, 100):
        if estimate_request(body(turns(count))) > 1000:
            break
        trimmed = window.fit(body(turns(count)))
        assert trimmed.dropped == 0
        advised.append(bool(trimmed.advice))
    with pytest.raises(ContextLimit, match="start a new one with a brief"):
        window.fit(body(turns(count)))
    assert advised == sorted(advised)
    assert 0 < sum(advised) < len(advised)


def test_price_decides_where_it_is_asked() -> None:
    """Sliding a cached window does not pay until much is to be cut; the limit holds anyway."""
    policy = PriceAware(TokenBudget(1500), limit=4000)
    cuts, reasons = 0, 0
    window = Window(policy)
    for count in range(1, 60):
        trimmed = window.fit(body(turns(count), cache_control=MARK))
        cuts += trimmed.cut
        reasons += trimmed.forecast is not None and not trimmed.forecast.pays and not trimmed.cut
        assert trimmed.tokens <= 4000
    assert 0 < cuts < 10 < reasons
    uncached = Window(policy)
    assert all(uncached.fit(body(turns(count))).tokens <= 1500 for count in range(1, 60))


@pytest.mark.parametrize("messages", [[], None, "Hello", {"role": "user"}])
def test_without_messages_there_is_no_conversation(messages: Any) -> None:
    """One sentence."""
    with pytest.raises(UserError, match="There are no messages"):
        Window(POLICY).fit({"model": MODEL, "messages": messages})


def test_a_call_that_waits_for_its_result_is_refused_until_it_comes() -> None:
    """Nothing is lost: with the result the conversation goes on."""
    window = Window(POLICY)
    call = {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}}
    history = [*turns(2), {"role": "assistant", "content": [call]}]
    with pytest.raises(UserError, match="'toolu_1' in message 3 is not followed by its result"):
        window.fit(body(history))
    found = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "yes"}
    history.append({"role": "user", "content": [found]})
    assert window.fit(body(history)).body["messages"] == history


@settings(max_examples=50)
@given(st.lists(MESSAGES, min_size=1, max_size=4), st.integers(1, 60))
def test_no_json_breaks_a_window(histories: list[Any], budget: int) -> None:
    """It is fitted, or refused with a sentence, whatever came before."""
    window = Window(TokenBudget(budget))
    for history in histories:
        with suppress(UserError, ContextLimit):
            assert window.fit(body(history, tools=history, system=history)).tokens <= budget

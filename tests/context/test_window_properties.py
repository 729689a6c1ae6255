"""Ten thousand random conversations: whatever the policy, what is sent is valid and fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.context import (
    Blocks,
    Limit,
    Policy,
    PriceAware,
    SlidingWindow,
    TokenBudget,
    Trimmed,
    Window,
    estimate_request,
)
from labkit.errors import ContextLimit
from labkit.sim.tokens import count_prompt
from tests.context.conversations import Talk, judged, talks

BUDGETS = st.integers(300, 9000)
POLICIES = st.one_of(
    st.builds(SlidingWindow, st.integers(1, 5)),
    st.builds(TokenBudget, BUDGETS),
    st.builds(
        lambda high, share: Blocks(high, max(1, int(high * share))), BUDGETS, st.floats(0.2, 0.9)
    ),
    st.builds(Limit, BUDGETS),
    st.builds(
        lambda budget, limit: PriceAware(TokenBudget(budget), limit + budget), BUDGETS, BUDGETS
    ),
)


def pinned(place: int, _message: Mapping[str, Any]) -> bool:
    """Pin the first exchange, and every question at a place divisible by eleven."""
    return place % 11 == 0


@settings(max_examples=300)
@given(talks())
def test_the_conversations_are_valid_to_begin_with(talk: Talk) -> None:
    """So that what is found later was done by trimming."""
    assert [judged(talk.request(length)) for length in talk.asked] == [""] * len(talk.asked)


@settings(max_examples=10_000)
@given(talks(), POLICIES, st.booleans())
def test_no_policy_ever_yields_an_invalid_request_or_exceeds_its_budget(
    talk: Talk, policy: Policy, pins: bool
) -> None:
    """Turn by turn; a request that cannot be made to fit is refused and the next goes on."""
    window = Window(policy, pin=pinned if pins else None)
    for length in talk.asked:
        body = talk.request(length)
        try:
            trimmed = window.fit(body)
        except ContextLimit:
            assert policy.budget is not None
            least = estimate_request(body) if isinstance(policy, Limit) else smallest(body, pins)
            assert least > policy.budget
            continue
        assert trimmed.tokens == estimate_request(trimmed.body)
        if policy.budget is not None:
            assert count_prompt(trimmed.body) <= trimmed.tokens <= policy.budget
        if trimmed.body is not body:  # which is valid, as the test above shows
            assert judged(trimmed.body) == ""
            check_kept(trimmed, body, pins)


def smallest(body: Mapping[str, Any], pins: bool) -> int:
    """Return the tokens of the least that may be sent, worked out anew from the whole history."""
    kept: list[Any] = []
    steering: Any = None
    exchanges = exchanges_of(body["messages"])
    for exchange in exchanges:
        is_last, asking = exchange is exchanges[-1], True
        start = last_step(exchange) if is_last else len(exchange)
        start = 0 if pins and pinned(exchange[0][0], {}) else start
        for number, (_, each) in enumerate(exchange):
            asking = asking and each["role"] != "assistant"
            question = is_last and asking and each["role"] == "user"
            new = each["role"] == "system" and each != steering
            if number >= start or question or new:
                kept.append(each)
            if each["role"] == "system" and start:
                steering = each
    return estimate_request({**body, "messages": kept})


Placed = tuple[int, Mapping[str, Any]]


def exchanges_of(messages: list[Mapping[str, Any]]) -> list[list[Placed]]:
    """Divide a history at its questions."""
    exchanges: list[list[Placed]] = []
    before = ""
    for placed in enumerate(messages):
        role = placed[1]["role"]
        if role == "user" and before != "user" and not answers(placed[1]):
            exchanges.append([])
        exchanges[-1].append(placed)
        before = before if role == "system" else role
    return exchanges


def last_step(exchange: list[Placed]) -> int:
    """Return where the last answer to tool results begins, 0 without any."""
    spoken = [number for number, (_, each) in enumerate(exchange) if each["role"] != "system"]
    return max(
        number if exchange[number][1]["role"] == "assistant" and answers(exchange[before][1]) else 0
        for before, number in zip([0, *spoken], spoken, strict=False)
    )


def answers(message: Mapping[str, Any]) -> bool:
    """Say whether a message holds tool results."""
    content = message["content"]
    return message["role"] == "user" and any(
        block["type"] == "tool_result" for block in content if isinstance(block, dict)
    )


def check_kept(trimmed: Trimmed, body: Mapping[str, Any], pins: bool) -> None:
    """Everything but the messages is as it was; those are whole and in order."""
    assert {**trimmed.body, "messages": None} == {**body, "messages": None}
    sent, history = trimmed.body["messages"], body["messages"]
    others = [each for each in sent if each["role"] != "system"]
    turns = [each for each in history if each["role"] != "system"]
    assert others[-1] is turns[-1]
    left = iter(turns)
    assert all(any(each is candidate for candidate in left) for each in others)
    assert trimmed.dropped == len(history) - len(sent)
    steering = {plain(each["content"]) for each in history if each["role"] == "system"}
    assert steering == {plain(each["content"]) for each in sent if each["role"] == "system"}
    if pins:
        assert sent[0] is history[0]


def plain(content: Any) -> str:
    """Return the words of a system turn."""
    if isinstance(content, str):
        return content
    return "".join(block["text"] for block in content)

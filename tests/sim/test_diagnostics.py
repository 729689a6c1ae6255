"""Prompt cache diagnostics: the first thing that has changed since the request that is named."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic
from anthropic.types import CacheMissMessagesChanged, CacheMissSystemChanged
from hypothesis import given
from hypothesis import strategies as st

from labkit.clock import VirtualClock
from labkit.sim.core import SimulatedApi
from labkit.sim.tokens import count_text
from labkit.sim.transport import ReplyTransport, Simulated
from tests.sim.recorded_exchanges import events

MODEL = "claude-haiku-5-5"
HEADERS = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
EPHEMERAL = {"type": "ephemeral"}
HANDBOOK, TOPIC = "Orders are shipped on weekdays. " * 100, "Where is my order? " * 30
TOOLS = [
    {"name": name, "description": name, "input_schema": {"type": "object"}} for name in ("a", "b")
]
FIRST: dict[str, Any] = {
    "model": MODEL,
    "max_tokens": 50,
    "tools": TOOLS,
    "system": HANDBOOK,
    "messages": [{"role": "user", "content": TOPIC}],
    "cache_control": EPHEMERAL,
}
FOLLOWED = [
    *FIRST["messages"],
    {"role": "assistant", "content": "It left today."},
    {"role": "user", "content": "Thank you."},
]


class Talk:
    """A client that names its latest answer in each request."""

    def __init__(self, **settings: Any) -> None:
        self.api = SimulatedApi(**settings)
        self.now, self.previous = 0.0, None

    def say(self, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
        """Send a request and return its answer; `diagnostics` stands in for what is usual."""
        asked = {**body, "diagnostics": {"previous_message_id": self.previous}, **changes}
        content = json.dumps(asked).encode()
        reply = self.api.reply("POST", "/v1/messages", HEADERS, content, self.now)
        message: dict[str, Any] = json.loads(reply.body)
        assert reply.status == 200, message
        self.now, self.previous = self.now + 10, message["id"]
        return message


def reason(message: dict[str, Any]) -> str | None:
    """Return the type of the reason that an answer gives, None for no difference."""
    told = message["diagnostics"]
    return None if told is None else str(told["cache_miss_reason"]["type"])


def second(changes: dict[str, Any], first: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the answer to a second request, which differs from the first in `changes`."""
    talk = Talk()
    before = {**FIRST, **(first or {})}
    talk.say(before)
    return talk.say({**before, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"messages": FOLLOWED}, None),
        ({"max_tokens": 9}, None),
        ({"system": [{"type": "text", "text": HANDBOOK, "cache_control": EPHEMERAL}]}, None),
        ({"model": "claude-opus-5-5"}, "model_changed"),
        ({"tools": TOOLS[::-1]}, "tools_changed"),
        ({"tools": TOOLS[:1]}, "tools_changed"),
        ({"tools": TOOLS[::-1], "system": "new"}, "tools_changed"),
        ({"system": "Today is Monday. " + HANDBOOK}, "system_changed"),
        ({"system": "new", "messages": FOLLOWED[2:]}, "system_changed"),
        ({"messages": FOLLOWED[2:]}, "messages_changed"),
        (
            {"messages": [{"role": "user", "content": TOPIC + "!"}, *FOLLOWED[1:]]},
            "messages_changed",
        ),
        ({"tool_choice": {"type": "none"}}, "unavailable"),
        ({"thinking": {"type": "disabled"}, "messages": FOLLOWED[2:]}, "unavailable"),
        ({"output_config": {"effort": "low"}}, "unavailable"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_the_first_difference_is_named(changes: dict[str, Any], expected: str | None) -> None:
    """Model, tools, system, settings, messages; what is merely appended is none."""
    assert reason(second(changes)) == expected


def test_another_speed_is_another_model() -> None:
    """The two do not share a prompt cache."""
    assert reason(second({"speed": "fast"}, {"model": "claude-opus-5-5"})) == "model_changed"


def test_the_tokens_missed_are_those_behind_the_difference() -> None:
    """Up to the last breakpoint of the earlier request, where reading would have ended."""
    usage = second({"messages": FOLLOWED})["usage"]
    whole = usage["cache_read_input_tokens"]
    question = count_text(TOPIC, MODEL)

    def missed(changes: dict[str, Any]) -> int:
        told = second(changes)["diagnostics"]["cache_miss_reason"]
        return int(told["cache_missed_input_tokens"])

    assert whole > 1000
    assert missed({"model": "claude-sonnet-5-5"}) == whole
    assert missed({"tools": [{**TOOLS[0], "description": "z"}]}) == whole
    assert missed({"system": "new"}) == count_text(HANDBOOK, MODEL) + question
    assert missed({"messages": FOLLOWED[2:]}) == question


def test_without_a_breakpoint_nothing_could_have_been_read() -> None:
    """A difference all the same, since requests are compared and not entries."""
    told = second({"system": "new"}, {"cache_control": None})["diagnostics"]["cache_miss_reason"]
    assert told == {"type": "system_changed", "cache_missed_input_tokens": 0}


def test_an_entry_that_has_expired_is_no_difference() -> None:
    """The requests match and nothing was read: it is the lifetime, not the prompt."""
    talk = Talk()
    talk.say(FIRST)
    talk.now = 301.0
    later = talk.say(FIRST)
    assert later["diagnostics"] is None
    assert later["usage"]["cache_read_input_tokens"] == 0


def test_only_a_request_that_asks_for_diagnostics_is_remembered() -> None:
    """Null opts in without anything to compare; leaving the object out stores nothing."""
    talk = Talk()
    assert talk.say(FIRST, diagnostics=None)["diagnostics"] is None
    assert reason(talk.say(FIRST)) == "previous_message_not_found"
    assert reason(talk.say(FIRST)) is None
    talk.say(FIRST, diagnostics={})
    assert reason(talk.say(FIRST)) is None


@pytest.mark.parametrize("named", ["msg_unheard_of", ""])
def test_an_unknown_message_is_not_found(named: str) -> None:
    """That does not mean that anything has changed, and no tokens are told."""
    told = Talk().say(FIRST, diagnostics={"previous_message_id": named})["diagnostics"]
    assert told == {"cache_miss_reason": {"type": "previous_message_not_found"}}


def test_a_fingerprint_is_kept_for_an_hour() -> None:
    """After that its message is not found."""
    talk = Talk()
    talk.say(FIRST)
    talk.now = 3600.0
    assert reason(talk.say(FIRST)) is None
    talk.now += 3600
    assert reason(talk.say(FIRST)) == "previous_message_not_found"


def test_a_stream_tells_it_in_its_first_event() -> None:
    """With the rest of the message's head."""
    talk = Talk()
    talk.say(FIRST)
    told = {"previous_message_id": talk.previous}
    body = {**FIRST, "system": "new", "stream": True, "diagnostics": told}
    reply = talk.api.reply("POST", "/v1/messages", HEADERS, json.dumps(body).encode(), 20.0)
    assert reason(events(reply.body.decode())[0]["message"]) == "system_changed"


def test_the_official_sdk_reads_the_reasons() -> None:
    """As its own types."""
    transport = ReplyTransport(Simulated(SimulatedApi()), VirtualClock())
    client = Anthropic(api_key="k", http_client=httpx2.Client(transport=transport))
    body: dict[str, Any] = {**FIRST, "diagnostics": {"previous_message_id": None}}
    first = client.messages.create(**body)
    body = {**body, "diagnostics": {"previous_message_id": first.id}}
    one = client.messages.create(**{**body, "system": "new"})
    two = client.messages.create(**{**body, "messages": FOLLOWED[2:]})
    assert one.diagnostics is not None
    assert isinstance(one.diagnostics.cache_miss_reason, CacheMissSystemChanged)
    assert two.diagnostics is not None
    assert isinstance(two.diagnostics.cache_miss_reason, CacheMissMessagesChanged)


@given(st.integers(0, 5))
def test_diagnostics_change_nothing_else(seed: int) -> None:
    """Words and usage are those of the same request without them."""
    with_them, without = Talk(seed=seed).say(FIRST), Talk(seed=seed).say(FIRST, diagnostics=None)
    assert with_them == without


blocks = st.lists(st.sampled_from("abc"), max_size=4)
requests = st.tuples(blocks, blocks, st.lists(st.sampled_from("abc"), min_size=1, max_size=4))


@given(requests, requests)
def test_no_difference_means_that_the_prompt_goes_on_from_the_earlier_one(
    one: tuple[list[str], ...], two: tuple[list[str], ...]
) -> None:
    """And a difference that it does not; what was missed is never more than was marked."""

    def body(drawn: tuple[list[str], ...]) -> dict[str, Any]:
        tools, system, turns = drawn
        return {
            **FIRST,
            "tools": [{**TOOLS[0], "name": f"{n}{x}"} for n, x in enumerate(tools)],
            "system": [{"type": "text", "text": x * 90} for x in system],
            "messages": [{"role": "user", "content": x * 90} for x in turns],
        }

    talk = Talk()
    first = talk.say(body(one))
    told = talk.say(body(two))["diagnostics"]
    same = one[:2] == two[:2] and two[2][: len(one[2])] == one[2]
    assert (told is None) == same
    if told is not None:
        most = sum(v for k, v in first["usage"].items() if k.endswith("input_tokens"))
        assert 0 < told["cache_miss_reason"]["cache_missed_input_tokens"] <= most

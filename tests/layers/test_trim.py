"""The trim layer: a chat loop as ever, a managed context, notes on the span, and no surprises."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from labkit.context import Blocks, Limit, SlidingWindow, TokenBudget, estimate_request
from labkit.errors import ContextLimit, UserError
from labkit.flow import Outcome, Request, Used
from labkit.layers.trim import Trim
from labkit.ledger import Ledger
from tests.layers.flows import OK, World
from tests.scenes import Scene
from tests.wire import EVENTS, answer, event, message, stream
from tests.world import Api, Script
from tests.world import World as Sdk

MODEL = "claude-haiku-5-5"
POLICY = Blocks(high=1200, low=700)


def turns(count: int, *, words: str = "Why do queues grow? ", first: str = "Hello") -> list[Any]:
    """Return a history of so many questions, all but the last answered."""
    history: list[Any] = [{"role": "user", "content": first}]
    for number in range(1, count):
        history.append({"role": "assistant", "content": [{"type": "text", "text": words * 10}]})
        history.append({"role": "user", "content": f"{number}: {words * 5}"})
    return history


def asked(messages: list[Any], **more: Any) -> Request:
    """Return the request of a chat loop with this history."""
    return Request({"model": MODEL, "max_tokens": 100, "messages": messages, **more})


class Sent(World):
    """A world that keeps the bodies it was sent."""

    def __init__(self, *outcomes: Outcome) -> None:
        super().__init__(*outcomes)
        self.bodies: list[Any] = []

    def answer(self, effect: Any) -> object:
        """Keep what is sent."""
        if hasattr(effect, "request"):
            self.bodies.append(effect.request.body)
        return super().answer(effect)


def test_a_chat_loop_is_managed_by_adding_one_line() -> None:
    """Forty turns against the simulated API, which would refuse what is invalid."""
    scene, seen = Scene(), []
    history: list[Any] = []
    client = scene.client(Trim(POLICY))
    for number in range(40):
        history.append({"role": "user", "content": f"{number}: why do queues grow? " * 5})
        reply = client.messages.create(model=MODEL, max_tokens=200, messages=history)
        history.append({"role": "assistant", "content": reply.content})
        seen.append(reply.usage.input_tokens)
    assert len(history) == 80
    assert max(seen) <= POLICY.high * 1.1
    assert seen[-1] > POLICY.low * 0.5


def test_async_calls_and_streams_are_trimmed_just_the_same() -> None:
    """The same loop through the async client, streaming."""
    scene, sizes = Scene(), []

    async def talk() -> None:
        history: list[Any] = []
        client = scene.async_client(Trim(POLICY))
        for number in range(30):
            history.append({"role": "user", "content": f"{number}: why do queues grow? " * 5})
            async with client.messages.stream(
                model=MODEL, max_tokens=200, messages=history
            ) as opened:
                reply = await opened.get_final_message()
            history.append({"role": "assistant", "content": reply.content})
            sizes.append(reply.usage.input_tokens)

    scene.run(talk)
    assert max(sizes) <= POLICY.high * 1.1


def test_the_span_tells_what_was_cut_and_what_it_is_expected_to_cost() -> None:
    """One note for each request that is shorter than its history."""
    world, layer = Sent(), Trim(POLICY)
    for count in range(1, 16):
        world.run(layer.flow(asked(turns(count), cache_control={"type": "ephemeral"})))
    notes: list[Any] = [found for name, found in world.notes if name == "trim"]
    cuts = [found for found in notes if found["cut"]]
    assert 1 <= len(cuts) < len(notes)
    assert cuts[0]["dropped_messages"] > 0
    assert cuts[0]["tokens"] <= POLICY.low < POLICY.high < cuts[0]["tokens_untrimmed"]
    assert cuts[0]["cost_cut"] > 0
    assert 0 < cuts[0]["read_share_cut"] < cuts[0]["read_share_uncut"] < 1
    assert "cost_cut" not in notes[1]


def test_what_fits_is_sent_as_it_is() -> None:
    """The very body, without a note."""
    world, request = Sent(), asked(turns(2))
    assert world.run(Trim(POLICY).flow(request)) is OK
    assert world.bodies[0] is request.body
    assert world.notes == []


def test_the_list_of_the_program_is_never_touched() -> None:
    """It goes on holding the whole history."""
    history = turns(30)
    before = json.dumps(history)
    world = Sent()
    world.run(Trim(POLICY).flow(asked(history)))
    assert json.dumps(history) == before
    assert len(world.bodies[0]["messages"]) < len(history)


def test_a_conversation_that_cannot_fit_is_refused_and_nothing_is_sent() -> None:
    """With a sentence that says what to do; the next, shorter question goes out."""
    world, layer = Sent(), Trim(TokenBudget(300))
    refused = world.run(layer.flow(asked([{"role": "user", "content": "long " * 500}])))
    assert isinstance(refused.error, ContextLimit)
    assert "shorten the last message" in str(refused.error)
    assert world.bodies == []
    assert world.notes == [("refused", {"by": "trim"})]
    assert world.run(layer.flow(asked([{"role": "user", "content": "short"}]))) is OK


def test_the_caller_of_the_sdk_gets_the_refusal(world: Sdk) -> None:
    """As `ContextLimit`, not as an error of the API."""

    async def scene(api: Api) -> str:
        with pytest.raises(ContextLimit) as refused:
            await api.create(messages=[{"role": "user", "content": "long " * 500}])
        return str(refused.value)

    server = Script(answer())
    assert world.run(scene, server, [Trim(Limit(300))]).startswith("The conversation has about")
    assert server.requests == []


def test_a_limit_advises_before_it_refuses() -> None:
    """The advice is noted on the span."""
    world, layer = Sent(), Trim(Limit(1000, advise_at=0.5))
    world.run(layer.flow(asked(turns(5))))
    (noted,) = [found for name, found in world.notes if name == "advice"]
    assert "Start a new one with a brief soon." in str(noted["text"])


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([], "There are no messages"),
        ([{"role": "bot", "content": "Hi"}], "'bot'"),
        ([{"role": "assistant", "content": "Hi"}], "the first turn is the user's"),
        (
            [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_9"}]}],
            "a result for 'toolu_9', which nobody called",
        ),
    ],
)
def test_what_no_valid_request_can_be_made_of_is_said_in_a_sentence(
    messages: list[Any], complaint: str
) -> None:
    """Before anything is sent, and the layer goes on with the next conversation."""
    world, layer = Sent(), Trim(POLICY)
    with pytest.raises(UserError, match=complaint):
        world.run(layer.flow(asked(messages)))
    assert world.bodies == []
    assert world.run(layer.flow(asked(turns(1)))) is OK


@pytest.mark.parametrize("key", [None, lambda _: "one key for all"])
def test_conversations_that_begin_alike_do_not_mix(key: Any) -> None:
    """Two users who both say hello first, in turns; even under one key."""
    world, layer = Sent(), Trim(SlidingWindow(2), key=key)
    for count in range(1, 8):
        for words in ("one ", "two "):
            world.run(layer.flow(asked(turns(count, words=words))))
            sent = json.dumps(world.bodies[-1]["messages"])
            assert ("one" in sent) == (words == "one " and count > 1)
            assert ("two" in sent) == (words == "two " and count > 1)


def test_conversations_that_begin_alike_are_each_cut_as_if_alone() -> None:
    """Reading them anew in every turn would slide their windows."""
    together, world = Trim(POLICY), Sent()
    for words in ("one two three four ", "five six seven eight "):
        alone, expected = Trim(POLICY), Sent()
        for count in range(1, 25):
            expected.run(alone.flow(asked(turns(count, words=words))))
            world.run(together.flow(asked(turns(count, words=words))))
            world.run(together.flow(asked(turns(count, words="other words in between "))))
            assert world.bodies[-2] == expected.bodies[-1]
    assert expected.notes


def test_users_and_keys_keep_conversations_apart() -> None:
    """By `metadata.user_id`, or by whatever the program says."""
    layer = Trim(POLICY, key=lambda body: body["metadata"]["user_id"])
    for each in (layer, other := Trim(POLICY)):
        for user in ("ann", "bob", "ann"):
            World().run(each.flow(asked(turns(1), metadata={"user_id": user})))
    assert list(layer._windows) == ["bob", "ann"]
    assert len(other._windows) == 2


def test_only_so_many_conversations_are_remembered() -> None:
    """The one that was silent longest is forgotten, and read again when it comes back."""
    layer, world = Trim(POLICY, keep=3), Sent()
    for number in range(10):
        world.run(layer.flow(asked(turns(20, first=f"Hello {number}"))))
    assert len(layer._windows) == 3
    world.run(layer.flow(asked(turns(21, first="Hello 0"))))
    assert estimate_request(world.bodies[-1]) <= POLICY.high
    with pytest.raises(ValueError, match="not 0"):
        Trim(POLICY, keep=0)


def test_requests_without_a_conversation_pass() -> None:
    """Counting, batches and what a simulated fleet sends."""
    world, layer = Sent(), Trim(TokenBudget(1))
    for request in (
        Request({"messages": turns(9)}, path="/v1/messages/count_tokens"),
        Request({"requests": []}, path="/v1/messages/batches"),
        Request({"prompt_tokens": 900}),
    ):
        assert world.run(layer.flow(request)) is OK
        assert world.bodies[-1] is request.body
    assert world.notes == []


def usage(tokens: int) -> dict[str, int]:
    """Return what a reply says of its prompt, in three parts."""
    return {
        "input_tokens": tokens - 20,
        "cache_read_input_tokens": 15,
        "cache_creation_input_tokens": 5,
        "output_tokens": 9,
    }


@pytest.mark.parametrize("streamed", [False, True])
def test_estimates_learn_from_every_reply(world: Sdk, streamed: bool) -> None:
    """Plain or streamed, through either client: the prompt is really twice as long."""
    layer = Trim(POLICY)
    messages = turns(3)
    estimated = estimate_request({"model": "claude-opus-5-5", "messages": messages})
    said = message("", usage=usage(2 * estimated), stop_reason=None)
    start = event("message_start", message=said)
    whole = stream(start, *EVENTS[1:])
    plain = answer()
    if not streamed:
        body = json.dumps(message(usage=usage(2 * estimated))).encode()
        plain = type(plain)(200, plain.headers, ((0.1, body),))

    async def scene(api: Api) -> Any:
        if streamed:
            return await api.final(messages=messages)
        return await api.create(messages=messages)

    world.run(scene, Script(whole if streamed else plain), [layer])
    (window,) = layer._windows.values()
    assert window.calibration.factor == pytest.approx(2)


def test_a_new_conversation_begins_with_what_the_last_one_learnt() -> None:
    """The first prompt of a resumed conversation may be a long one."""
    layer, request = Trim(POLICY), asked(turns(3))
    reported = Used(2 * estimate_request(request.body), 9)
    World(Outcome(status=200, meter=lambda tell: tell(reported))).run(layer.flow(request))
    world = Sent()
    world.run(layer.flow(asked(turns(30, first="Resumed"))))
    assert estimate_request(world.bodies[0]) <= POLICY.low / 2


@pytest.mark.parametrize("used", [None, Used(0, 9)])
def test_a_reply_that_says_nothing_teaches_nothing(used: Used | None) -> None:
    """No usage, or a prompt without tokens."""
    layer = Trim(POLICY)
    meter = None if used is None else lambda tell: tell(used)
    World(Outcome(status=200, meter=meter)).run(layer.flow(asked(turns(1))))
    (window,) = layer._windows.values()
    assert window.calibration.replies == 0


def test_one_layer_serves_many_conversations_at_once() -> None:
    """Interleaved on one loop, each stays within its budget."""
    scene = Scene(seed=1)

    async def talk(client: Any, name: str) -> list[int]:
        history, sizes = [], []
        for number in range(12):
            history.append({"role": "user", "content": f"{name} {number} why? " * 10})
            reply = await client.messages.create(model=MODEL, max_tokens=100, messages=history)
            history.append({"role": "assistant", "content": reply.content})
            sizes.append(reply.usage.input_tokens)
        return sizes

    async def all_of_them() -> Any:
        client = scene.async_client(Trim(POLICY))
        return await asyncio.gather(*(talk(client, f"user {n}") for n in range(5)))

    for sizes in scene.run(all_of_them):
        assert max(sizes) <= POLICY.high * 1.1


def test_the_ledger_shows_the_note() -> None:
    """What was cut can be looked up afterwards."""
    scene = Scene()
    client = scene.client(Trim(POLICY))
    client.messages.create(model=MODEL, max_tokens=100, messages=turns(30))
    assert isinstance(scene.ledger, Ledger)
    assert "trim" in scene.ledger.table().to_string()

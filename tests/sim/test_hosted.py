"""Contexts managed by the server: edited, compacted, kept in threads; through the real SDK."""

from __future__ import annotations

import gzip
import json
from typing import Any

import anthropic
import pytest

from labkit.catalog import model
from labkit.pricing import cost
from labkit.sim.context_editing import CLEARED
from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.tokens import count_prompt
from labkit.usage import Usage
from tests.scenes import Scene

MODEL = "claude-opus-5-5"
EDITING, COMPACTING = "context-management-2025-06-27", "compact-2026-01-12"
ON_DEMAND, THREADS = "compact-2026-09-04", "message-threads-2026-08-12"
LONG = "The river rose and fell. " * 6000
FACT = "FACT: the invoice is due on Friday."
TOOL = {"name": "look_up", "input_schema": {"type": "object"}}


def sdk(**options: Any) -> Any:
    """Return a client of the official SDK on a simulated API; its overloads know no mappings."""
    return Scene(**options).client()


def ask(messages: Any, **more: Any) -> dict[str, Any]:
    """Build a request."""
    return {"model": MODEL, "max_tokens": 500, "messages": messages, **more}


def tool_history(uses: int, size: int = 500) -> list[dict[str, Any]]:
    """Look something up so many times."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Find the rain."}]
    for number in range(uses):
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": "look_up", "input": {"n": 7}}
        result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "w" * size}
        messages += [{"role": "assistant", "content": [call]}]
        messages += [{"role": "user", "content": [result]}]
    return messages


def clearing(**more: Any) -> dict[str, Any]:
    """Ask for old tool results to be cleared."""
    return {"edits": [{"type": "clear_tool_uses_20250919", **more}]}


def compacting(**more: Any) -> dict[str, Any]:
    """Ask for a compaction at 50,000 tokens."""
    trigger = {"type": "input_tokens", "value": 50_000}
    return {"edits": [{"type": "compact_20260112", "trigger": trigger, **more}]}


def test_old_tool_results_are_cleared_and_the_reply_says_so() -> None:
    """The prompt is shorter by exactly what the reply names."""
    client, messages = sdk(), tool_history(8)
    when = {"type": "tool_uses", "value": 5}
    managed = clearing(trigger=when, keep={"type": "tool_uses", "value": 2})
    plain = client.beta.messages.create(**ask(messages, tools=[TOOL]))
    reply = client.beta.messages.create(
        **ask(messages, tools=[TOOL], context_management=managed), betas=[EDITING]
    )
    assert reply.context_management is not None
    (edit,) = reply.context_management.applied_edits
    assert edit.type == "clear_tool_uses_20250919"
    assert edit.cleared_tool_uses == 6
    assert plain.usage.input_tokens - reply.usage.input_tokens == edit.cleared_input_tokens > 0
    assert plain.context_management is None


@pytest.mark.parametrize(
    "managed",
    [
        clearing(),  # 100,000 tokens are not reached
        clearing(trigger={"type": "tool_uses", "value": 9}),
        clearing(trigger={"type": "tool_uses", "value": 1}, keep={"type": "tool_uses", "value": 8}),
        clearing(trigger={"type": "tool_uses", "value": 1}, exclude_tools=["look_up"]),
        clearing(
            trigger={"type": "tool_uses", "value": 1},
            clear_at_least={"type": "input_tokens", "value": 10_000},
        ),
    ],
)
def test_what_need_not_be_cleared_stays(managed: dict[str, Any]) -> None:
    """Below the trigger, within what is kept, excluded, or not worth it: no edit applies."""
    body = ask(tool_history(8), tools=[TOOL], context_management=managed)
    reply = sdk().beta.messages.create(**body, betas=[EDITING])
    assert reply.context_management is not None
    assert reply.context_management.applied_edits == []
    assert reply.usage.input_tokens == count_prompt(body)


def test_the_inputs_of_cleared_uses_may_go_too() -> None:
    """All of them, or those of the tools named; the sentence that stands for a result is short."""
    client, when = sdk(), {"type": "tool_uses", "value": 1}
    counts = [
        client.beta.messages.create(
            **ask(
                tool_history(8),
                tools=[TOOL],
                context_management=clearing(trigger=when, clear_tool_inputs=inputs),
            ),
            betas=[EDITING],
        ).usage.input_tokens
        for inputs in (False, True, ["look_up"], ["other"])
    ]
    assert counts[0] == counts[3] > counts[1] == counts[2]
    assert CLEARED.startswith("[Simulated")


def test_old_thinking_is_cleared() -> None:
    """Thinking of all but the latest turns is taken out, whole blocks of it."""
    thinking = {"type": "thinking", "thinking": "hm " * 200, "signature": "s"}
    said = {"role": "assistant", "content": [thinking, {"type": "text", "text": "Yes."}]}
    messages = [{"role": "user", "content": "Rain?"}, said] * 3 + [{"role": "user", "content": "?"}]
    edit = {"type": "clear_thinking_20251015", "keep": {"type": "thinking_turns", "value": 1}}
    reply = sdk().beta.messages.create(
        **ask(messages, context_management={"edits": [edit]}), betas=[EDITING]
    )
    assert reply.context_management is not None
    (applied,) = reply.context_management.applied_edits
    assert applied.type == "clear_thinking_20251015"
    assert applied.cleared_thinking_turns == 2
    assert applied.cleared_input_tokens == 2 * 240


def test_counting_shows_the_prompt_before_and_after_editing() -> None:
    """The figure of the endpoint is what a request would be billed."""
    client, body = sdk(), ask(tool_history(8), tools=[TOOL])
    managed = clearing(trigger={"type": "tool_uses", "value": 1})
    request = {**body, "context_management": managed, "betas": [EDITING]}
    reply = client.beta.messages.create(**request)
    del request["max_tokens"]
    counted = client.beta.messages.count_tokens(**request)
    assert counted.input_tokens == reply.usage.input_tokens
    assert counted.context_management is not None
    assert counted.context_management.original_input_tokens == count_prompt(body)


def test_above_the_threshold_the_reply_begins_with_a_summary() -> None:
    """What it cost is in the iterations; the top-level numbers are those of the answer alone."""
    history = [{"role": "user", "content": f"{FACT} {LONG}"}]
    body = ask(history, context_management=compacting())
    reply = sdk().beta.messages.create(**body, betas=[COMPACTING])
    block, answer = reply.content
    assert block.type == "compaction"
    assert "the invoice is due on Friday" in str(block.content)
    assert answer.type == "text"
    assert reply.usage.iterations is not None
    compaction, message = reply.usage.iterations
    assert (compaction.type, message.type) == ("compaction", "message")
    assert compaction.input_tokens == count_prompt(body) > 50_000
    assert message.input_tokens == reply.usage.input_tokens < 1000
    assert reply.stop_reason == "end_turn"
    assert reply.context_management is not None
    assert reply.context_management.applied_edits == []
    priced = Usage.from_api(reply.usage)
    whole = Usage(input_tokens=compaction.input_tokens, output_tokens=compaction.output_tokens)
    own = Usage(input_tokens=message.input_tokens, output_tokens=message.output_tokens)
    assert cost(model(MODEL), priced) == cost(model(MODEL), whole) + cost(model(MODEL), own)


def test_what_was_compacted_is_not_read_again() -> None:
    """The next prompt is the block and what came after it; the history is sent whole."""
    client = sdk()
    history: list[Any] = [{"role": "user", "content": f"My dog is called Rex. {LONG}"}]
    history[0]["content"] = f"My dog is Rex. {LONG}"
    managed = {"context_management": compacting(), "betas": [COMPACTING]}
    first = client.beta.messages.create(**ask(history), **managed)
    history += [{"role": "assistant", "content": first.content}]
    history += [{"role": "user", "content": "What is my dog?"}]
    second = client.beta.messages.create(**ask(history), **managed)
    assert second.usage.input_tokens < 2000
    assert second.usage.iterations is None
    assert "Rex" in str(second.content)
    counted = client.beta.messages.count_tokens(
        model=MODEL, messages=history, betas=[COMPACTING], context_management=compacting()
    )
    assert counted.input_tokens == second.usage.input_tokens


def test_a_compaction_may_pause() -> None:
    """The block comes alone, and nothing but it is billed."""
    body = ask([{"role": "user", "content": LONG}])
    managed = compacting(pause_after_compaction=True)
    reply = sdk().beta.messages.create(**body, context_management=managed, betas=[COMPACTING])
    assert reply.stop_reason == "compaction"
    assert [block.type for block in reply.content] == ["compaction"]
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (0, 0)
    assert reply.usage.iterations is not None
    assert [each.type for each in reply.usage.iterations] == ["compaction"]


def test_a_stream_of_a_compaction_is_as_recorded() -> None:
    """Null at the start, one delta, usage of the compaction first and of the answer last."""
    body = ask([{"role": "user", "content": LONG}])
    events = list(
        sdk().beta.messages.create(
            **body, context_management=compacting(), betas=[COMPACTING], stream=True
        )
    )
    seen: list[Any] = [each.to_dict() for each in events]
    assert seen[1]["content_block"] == {"type": "compaction", "content": None}
    assert seen[2]["delta"]["type"] == "compaction_delta"
    assert "context_management" not in seen[0]["message"]
    assert "iterations" not in seen[0]["message"]["usage"]
    assert seen[-2]["context_management"] == {"applied_edits": []}
    usage = seen[-2]["usage"]
    assert [each["type"] for each in usage["iterations"]] == ["compaction", "message"]
    assert seen[0]["message"]["usage"]["input_tokens"] == usage["iterations"][0]["input_tokens"]
    assert usage["input_tokens"] == usage["iterations"][1]["input_tokens"]
    with sdk().beta.messages.stream(
        **body, context_management=compacting(), betas=[COMPACTING]
    ) as stream:
        whole = stream.get_final_message()
    expected = sdk().beta.messages.create(
        **body, context_management=compacting(), betas=[COMPACTING]
    )
    assert whole.content[0].content == expected.content[0].content
    assert whole.content[1].text == expected.content[1].text


@pytest.mark.parametrize("pause", [False, True])
def test_the_events_of_a_compaction_never_go_back_in_time(pause: bool) -> None:
    """The summary was written before the first of them."""
    body = ask([{"role": "user", "content": LONG}], stream=True)
    body["context_management"] = compacting(pause_after_compaction=pause)
    headers = {"x-api-key": "k", "anthropic-version": "2026-10-21", "anthropic-beta": COMPACTING}
    content = json.dumps(body).encode()
    reply = SimulatedApi().reply("POST", "/v1/messages", headers, content, 0.0)
    times = [at for at, _ in reply.chunks]
    assert b"compaction_delta" in reply.body
    assert times == sorted(times)


def test_a_compaction_takes_time_and_uses_the_prompt_cache() -> None:
    """It is a request of its own: its seconds come on top, its prompt is read from the cache."""
    scene = Scene()
    client: Any = scene.client()
    text = {"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}
    history = [{"role": "user", "content": [text]}]
    began = scene.clock.now()
    client.beta.messages.create(**ask(history))
    plain_s = scene.clock.now() - began
    reply = client.beta.messages.create(
        **ask(history), context_management=compacting(), betas=[COMPACTING]
    )
    assert scene.clock.now() - began > 1.5 * plain_s
    assert reply.usage.iterations is not None
    assert reply.usage.iterations[0].cache_read_input_tokens > 50_000


def test_on_demand_a_signed_block_comes_alone_and_takes_the_place_of_the_turns() -> None:
    """It is sent first, before the turns that came after it."""
    client = sdk()
    history = [
        {"role": "user", "content": f"My dog is Rex. {FACT} " + LONG[:5000]},
        {"role": "assistant", "content": "I see."},
    ]
    reply = client.beta.messages.create(
        **ask(history), compaction={"type": "summarize"}, betas=[ON_DEMAND]
    )
    (block,) = reply.content
    assert block.type == "compaction"
    assert block.signature
    assert reply.stop_reason == "compaction"
    assert reply.usage.output_tokens == 0
    assert reply.usage.iterations is not None
    assert reply.usage.iterations[0].input_tokens == count_prompt(ask(history))
    later = [
        {"role": "assistant", "content": [block]},
        {"role": "user", "content": "What is my dog?"},
    ]
    answer = client.beta.messages.create(**ask(later), betas=[ON_DEMAND])
    assert "Rex" in str(answer.content)
    assert answer.usage.input_tokens < 1000


def test_a_summary_that_does_not_fit_is_none() -> None:
    """As recorded: no block, `max_tokens`, and the tokens are billed."""
    history = [{"role": "user", "content": LONG[:5000]}]
    reply = sdk().beta.messages.create(
        **{**ask(history), "max_tokens": 5}, compaction={"type": "summarize"}, betas=[ON_DEMAND]
    )
    assert (reply.content, reply.stop_reason) == ([], "max_tokens")
    assert reply.usage.iterations is not None
    assert reply.usage.iterations[0].output_tokens == 5


BLOCK = {"type": "compaction", "content": "They spoke.", "signature": "simulated-0"}
USER: dict[str, Any] = {"role": "user", "content": "Hi"}


@pytest.mark.parametrize(
    ("messages", "kind"),
    [
        ([{"role": "assistant", "content": [BLOCK]}, USER], "CompactionContentMismatchError"),
        (
            [{"role": "assistant", "content": [{**BLOCK, "signature": "x"}]}, USER],
            "CompactionSignatureInvalidError",
        ),
        ([USER, {"role": "assistant", "content": [BLOCK]}, USER], "CompactionBlockMisplacedError"),
        (
            [{"role": "assistant", "content": [BLOCK, BLOCK]}, USER],
            "CompactionBlockAmbiguousError",
        ),
    ],
)
def test_a_block_that_was_touched_is_refused_in_the_sdks_own_class(
    messages: list[Any], kind: str
) -> None:
    """Each with its error code."""
    with pytest.raises(anthropic.BadRequestError) as caught:
        sdk().beta.messages.create(**ask(messages), betas=[ON_DEMAND])
    assert type(caught.value).__name__ == kind


def test_an_unfinished_turn_cannot_be_compacted() -> None:
    """A tool call waits for its result."""
    with pytest.raises(anthropic.BadRequestError, match="is not finished"):
        sdk().beta.messages.create(
            **ask(tool_history(2)[:-1], tools=[TOOL]),
            compaction={"type": "summarize"},
            betas=[ON_DEMAND],
        )


def test_a_thread_keeps_the_conversation_and_bills_all_of_it() -> None:
    """Only the new turn is sent."""
    client = sdk()
    first_turn = [{"role": "user", "content": "My dog is Rex."}]
    first = client.beta.messages.create(
        **ask(first_turn), thread={"type": "create"}, betas=[THREADS]
    )
    new = [{"role": "user", "content": "What is my dog?"}]
    thread = {"type": "continue", "previous_message_id": first.id}
    second = client.beta.messages.create(**ask(new), thread=thread, betas=[THREADS])
    whole = [*first_turn, {"role": "assistant", "content": first.content}, *new]
    assert "Rex" in str(second.content)
    assert second.usage.input_tokens == client.beta.messages.create(**ask(whole)).usage.input_tokens
    with pytest.raises(anthropic.BadRequestError) as again:
        client.beta.messages.create(**ask(new), thread=thread, betas=[THREADS])
    assert type(again.value).__name__ == "ThreadAlreadyContinuedError"


def test_a_thread_goes_on_with_a_tools_result() -> None:
    """The call is on the server with the tools and the system prompt; the result is new."""
    client = sdk()
    body = ask([{"role": "user", "content": "Look up the rain."}], tools=[TOOL], system="Be kind.")
    first = client.beta.messages.create(**body, thread={"type": "create"}, betas=[THREADS])
    call = first.content[-1]
    assert call.type == "tool_use"
    new = {"type": "tool_result", "tool_use_id": call.id, "content": "wet"}
    thread = {"type": "continue", "previous_message_id": first.id}
    result = [{"role": "user", "content": [new]}]
    second = client.beta.messages.create(**ask(result), thread=thread, betas=[THREADS])
    assert "wet" in str(second.content)
    said = {"role": "assistant", "content": [call.to_dict()]}
    whole = ask([*body["messages"], said, *result], tools=[TOOL], system="Be kind.")
    assert second.usage.input_tokens == count_prompt(whole)


def test_the_sdks_own_thread_talks_to_the_simulated_api() -> None:
    """Its turns send only what is new, and it says itself which answer it goes on from."""
    scene = Scene()
    client: Any = scene.client()
    thread = client.beta.messages.thread(
        model=MODEL, max_tokens=500, system="Be kind.", messages=[]
    )
    thread.send({"role": "user", "content": "My dog is Rex."})
    reply = thread.send({"role": "user", "content": "What is my dog?"})
    assert "Rex" in str(reply.content)
    assert len(thread.messages) == 4


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"system": "Other."}, "ThreadFingerprintMismatchError"),
        ({"thread": {"type": "continue", "previous_message_id": "x"}}, "ThreadNotFoundError"),
        ({"context_management": clearing()}, "ThreadUnsupportedRequestError"),
    ],
)
def test_a_thread_that_cannot_go_on_is_refused_in_the_sdks_own_class(
    changes: dict[str, Any], kind: str
) -> None:
    """Another system prompt, an unknown answer, a field that does not go with threads."""
    client = sdk()
    first = client.beta.messages.create(**ask([USER]), thread={"type": "create"}, betas=[THREADS])
    thread = {"type": "continue", "previous_message_id": first.id}
    with pytest.raises(anthropic.APIStatusError) as caught:
        client.beta.messages.create(
            **{**ask([USER]), "thread": thread, **changes}, betas=[THREADS, EDITING]
        )
    assert type(caught.value).__name__ == kind


def test_an_answer_that_a_fault_took_leaves_no_thread() -> None:
    """Nobody was told its id, and a retry is a first continuation."""
    client = sdk(faults=[Fault("overloaded", first=1)])
    with pytest.raises(anthropic.APIStatusError):
        client.beta.messages.create(**ask([USER]), thread={"type": "create"}, betas=[THREADS])
    client.beta.messages.create(**ask([USER]), thread={"type": "create"}, betas=[THREADS])


@pytest.mark.parametrize(
    ("fields", "betas", "message"),
    [
        ({"context_management": clearing()}, [], "context_management: Extra inputs"),
        ({"context_management": clearing()}, [COMPACTING], f"requires the beta {EDITING}"),
        ({"context_management": compacting()}, [EDITING], f"requires the beta {COMPACTING}"),
        ({"compaction": {"type": "summarize"}}, [EDITING], "compaction: Extra inputs"),
        ({"thread": {"type": "create"}}, [], "thread: Extra inputs"),
        ({"thread": {"type": "new"}}, [THREADS], "Input tag 'new'"),
        (
            {"context_management": clearing(), "compaction": {"type": "summarize"}},
            [EDITING, ON_DEMAND],
            "cannot be combined",
        ),
        (
            {"context_management": compacting(trigger={"type": "input_tokens", "value": 9})},
            [COMPACTING],
            "greater than or equal to 50000",
        ),
        (
            {"context_management": {"edits": [{"type": "clear_thinking_20251015"}]}},
            [EDITING],
            "no default, as none is established",
        ),
        (
            {
                "context_management": {
                    "edits": [
                        {"type": "clear_tool_uses_20250919"},
                        {"type": "clear_thinking_20251015", "keep": "all"},
                    ]
                }
            },
            [EDITING],
            "must be the first edit",
        ),
        ({"context_management": {"edits": [{"type": "forget"}]}}, [EDITING], "Input tag 'forget'"),
        ({"context_management": {"edits": 3}}, [EDITING], "Input should be a valid list"),
    ],
)
def test_what_is_not_established_or_makes_no_sense_is_refused(
    fields: dict[str, Any], betas: list[str], message: str
) -> None:
    """A 400 in one sentence."""
    with pytest.raises(anthropic.BadRequestError, match=message):
        sdk().beta.messages.create(**ask([USER]), **fields, betas=betas)


def test_words_that_sound_like_hosting_change_nothing() -> None:
    """A user may say "compaction" in quotes."""
    body = ask([{"role": "user", "content": 'What is "compaction"?'}])
    reply = sdk().messages.create(**body)
    assert reply.usage.input_tokens == count_prompt(body)


def test_a_compressed_request_is_hosted_too() -> None:
    """What it asks for is read after it has been unpacked."""
    body = ask([USER], thread={"type": "create"})
    headers = {"x-api-key": "k", "anthropic-version": "2026-10-21", "content-encoding": "gzip"}
    content = gzip.compress(json.dumps(body).encode())
    reply = SimulatedApi().reply("POST", "/v1/messages", headers, content, 0.0)
    assert b"thread: Extra inputs are not permitted" in reply.body


def test_only_the_latest_answers_of_threads_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """An old one is as unknown as one that never was."""
    monkeypatch.setattr("labkit.sim.threads.MOST_HELD", 2)
    client = sdk()
    ids = [
        client.beta.messages.create(**ask([USER]), thread={"type": "create"}, betas=[THREADS]).id
        for _ in range(3)
    ]
    old, new = ({"type": "continue", "previous_message_id": ids[n]} for n in (0, 1))
    client.beta.messages.create(**ask([USER]), thread=new, betas=[THREADS])
    with pytest.raises(anthropic.NotFoundError, match="No usable thread"):
        client.beta.messages.create(**ask([USER]), thread=old, betas=[THREADS])

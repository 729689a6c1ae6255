"""The answering core: deterministic, total, and honest about what it refuses."""

from __future__ import annotations

import gzip
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import model, models
from labkit.sim.core import BAD_KEY, SimulatedApi
from labkit.sim.dates import today
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply

KEY = {"authorization": "Bearer k", "anthropic-version": "2026-10-21"}
BODY: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 300,
    "messages": [{"role": "user", "content": "How does a queue fill up?"}],
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_result", "tool_use", "image", "thinking"])},
    optional={"text": json_values, "content": json_values, "input": json_values},
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "system"]) | json_values},
        optional={"content": st.text(max_size=40) | st.lists(blocks, max_size=3) | json_values},
    )
    | json_values,
    max_size=4,
)
nearly_requests = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from([row.id for row in models()]) | json_values,
        "max_tokens": st.integers(-2, 200_000) | json_values,
        "messages": messages | json_values,
        "system": json_values,
        "tools": json_values,
        "stream": json_values,
        "speed": json_values,
        "inference_geo": json_values,
    },
)
prompts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400)
served = st.sampled_from(
    [row.id for row in models() if row.context_window and row.lifecycle(today(0.0)) != "retired"]
)


def ask(api: SimulatedApi, body: Any, *, count: bool = False, now: float = 0.0) -> Reply:
    """Send a body to the core as a client would."""
    path = "/v1/messages/count_tokens" if count else "/v1/messages?beta=true"
    return api.reply("POST", path, KEY, json.dumps(body).encode(), now)


def events(reply: Reply) -> list[dict[str, Any]]:
    """Read the events of a streamed reply."""
    frames = reply.body.decode().removesuffix("\n\n").split("\n\n")
    return [json.loads(frame.split("\ndata: ", 1)[1]) for frame in frames]


def error_of(reply: Reply) -> tuple[int, str, str]:
    """Return status, type and message of an error reply."""
    error = json.loads(reply.body)["error"]
    return reply.status, error["type"], error["message"]


def test_same_seed_and_requests_give_the_same_bytes() -> None:
    """Two simulators with one seed tell one story, headers and times included."""
    bodies = [BODY, {**BODY, "stream": True}, {**BODY, "model": "nonsense"}, BODY]
    fault = Fault("overloaded", share=0.5)
    stories = [
        [ask(api, body, now=float(number)) for number, body in enumerate(bodies)]
        for api in (SimulatedApi(seed=4, faults=[fault]), SimulatedApi(seed=4, faults=[fault]))
    ]
    assert stories[0] == stories[1]


def test_different_seeds_differ() -> None:
    """Another seed gives another answer at another speed."""
    one, other = ask(SimulatedApi(seed=1), BODY), ask(SimulatedApi(seed=2), BODY)
    assert one.body != other.body
    assert one.duration_s != other.duration_s


def test_asking_again_gives_another_answer_with_another_id() -> None:
    """The second answer to one question is a new message."""
    api = SimulatedApi()
    one, other = (json.loads(ask(api, BODY).body) for _ in range(2))
    assert one["id"] != other["id"]
    assert one["content"] != other["content"]


def test_the_order_of_keys_changes_nothing() -> None:
    """What is asked counts, not how its JSON is spelled."""
    turned = dict(reversed(BODY.items()))
    assert ask(SimulatedApi(), BODY) == ask(SimulatedApi(), turned)


def test_ids_are_unique() -> None:
    """A thousand answers have a thousand message ids and request ids of the API's length."""
    api = SimulatedApi()
    replies = [ask(api, BODY) for _ in range(1000)]
    for ids in (
        {json.loads(reply.body)["id"] for reply in replies},
        {reply.headers["request-id"] for reply in replies},
    ):
        assert len(ids) == 1000
        assert {len(each.partition("_")[2]) for each in ids} == {24}


def test_several_threads_share_one_core() -> None:
    """Concurrent requests are all counted: no two get the same number, so no two the same id."""
    api = SimulatedApi()
    ids: list[str] = []

    def work() -> None:
        ids.extend(ask(api, BODY).headers["request-id"] for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 400


@given(st.binary(max_size=200), st.booleans())
def test_arbitrary_bytes_are_answered(content: bytes, count: bool) -> None:
    """Whatever the bytes of a body, the core answers and never raises."""
    path = "/v1/messages/count_tokens" if count else "/v1/messages"
    assert SimulatedApi().reply("POST", path, KEY, content, 0.0).status in (200, 400, 404)


@given(json_values | nearly_requests, st.booleans())
def test_arbitrary_json_is_answered(body: Any, count: bool) -> None:
    """Whatever the JSON of a body, the core answers in the API's own shape."""
    reply = ask(SimulatedApi(), body, count=count)
    assert reply.status in (200, 400, 404)
    if reply.status != 200:
        status, kind, message = error_of(reply)
        assert (status, kind) in ((400, "invalid_request_error"), (404, "not_found_error"))
        assert message


@pytest.mark.parametrize(
    "content",
    [
        b'{"model": ' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        json.dumps({**BODY, "system": "\ud800"}).encode(),
        b'{"max_tokens": NaN}',
    ],
    ids=["endless", "deep", "half a surrogate pair", "not a number"],
)
def test_what_is_not_json_is_refused(content: bytes) -> None:
    """A body that is no JSON is a 400, not a crash."""
    reply = SimulatedApi().reply("POST", "/v1/messages", KEY, content, 0.0)
    status, kind, message = error_of(reply)
    assert (status, kind) == (400, "invalid_request_error")
    assert message.startswith("The request body is not valid JSON: ")


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("count", [False, True])
def test_deeply_nested_input_is_answered_or_refused(count: bool, cached: bool) -> None:
    """However deep a tool's schema goes, the answer is a 200 or a 400, and never a crash."""
    statuses = []
    for depth in (1, 100, 180, 250, 900, 990, 5000):
        schema: Any = "REST"
        tool = {"name": "f", "input_schema": {"type": "object", "properties": {"a": schema}}}
        body = {name: BODY[name] for name in BODY if not (count and name == "max_tokens")}
        body |= {"tools": [tool]} | ({"cache_control": {"type": "ephemeral"}} if cached else {})
        nested = '{"a":' * depth + "1" + "}" * depth
        content = json.dumps(body).replace('"REST"', nested).encode()
        path = "/v1/messages/count_tokens" if count else "/v1/messages"
        statuses.append(SimulatedApi().reply("POST", path, KEY, content, 0.0).status)
    assert statuses == [200] * 3 + [400] * 4


@given(prompts, st.integers(0, 400), served)
def test_usage_adds_up(prompt: str, most: int, name: str) -> None:
    """Input is what counting says, output what the text holds, and never above the limit."""
    body = {**BODY, "model": name}
    body["messages"] = [{"role": "user", "content": prompt}]
    api = SimulatedApi()
    asked = {key: value for key, value in body.items() if key != "max_tokens"}
    counted = json.loads(ask(api, asked, count=True).body)["input_tokens"]
    body["max_tokens"] = most
    message = json.loads(ask(api, body).body)
    usage = message["usage"]
    assert usage["input_tokens"] == counted
    assert usage["output_tokens"] <= most
    if message["stop_reason"] == "max_tokens":
        assert usage["output_tokens"] == most
    assert usage["cache_creation_input_tokens"] == sum(usage["cache_creation"].values())
    assert bool(message["content"]) == bool(usage["output_tokens"])


@given(prompts, st.integers(1, 400), st.integers(0, 99))
def test_stream_and_plain_answer_agree(prompt: str, most: int, seed: int) -> None:
    """The same request streamed gives the same message, at the same time in the end."""
    body = {**BODY, "max_tokens": most, "messages": [{"role": "user", "content": prompt}]}
    plain = ask(SimulatedApi(seed=seed), body)
    stream = ask(SimulatedApi(seed=seed), {**body, "stream": True})
    message, told = json.loads(plain.body), events(stream)
    rebuilt = {**told[0]["message"], **told[-2]["delta"]}
    rebuilt["usage"] = {**told[0]["message"]["usage"], **told[-2]["usage"]}
    text = "".join(e["delta"]["text"] for e in told if e["type"] == "content_block_delta")
    rebuilt["content"] = [{"type": "text", "text": text}] if text else []
    assert rebuilt == message
    assert stream.duration_s == pytest.approx(plain.duration_s, abs=0.002)


@given(prompts, served)
def test_times_run_forward_and_are_reported(prompt: str, name: str) -> None:
    """Every part comes after the one before, and the header reports the first byte."""
    body = {**BODY, "model": name, "messages": [{"role": "user", "content": prompt}]}
    for streaming in (False, True):
        reply = ask(SimulatedApi(), {**body, "stream": streaming})
        times = [at for at, _ in reply.chunks]
        assert times == sorted(times)
        assert times[0] > 0
        assert int(reply.headers["x-envoy-upstream-service-time"]) == round(times[0] * 1000)


def test_a_slower_line_and_a_longer_prompt_take_longer() -> None:
    """Time to the first token grows with the prompt, and with the size of the model."""

    def first(name: str, words: int) -> float:
        content = "word " * words
        body = {**BODY, "model": name, "stream": True}
        body["messages"] = [{"role": "user", "content": content}]
        return sum(ask(SimulatedApi(seed=seed), body).first_byte_s for seed in range(50)) / 50

    assert first("claude-haiku-5-5", 10) < first("claude-haiku-5-5", 100_000)
    assert first("claude-haiku-5-5", 10) < first("claude-opus-5-5", 10)


def test_no_key_is_an_authentication_error() -> None:
    """Either key header will do, in any case of letters; none, or the one bad key, is a 401."""
    api, content = SimulatedApi(), json.dumps(BODY).encode()
    for key in ({"Authorization": "Bearer k"}, {"X-Api-Key": "k"}, {"x-api-key": "k"}):
        headers = {**key, "anthropic-version": "2026-10-21"}
        assert api.reply("POST", "/v1/messages", headers, content, 0.0).status == 200
    for headers in ({}, {"authorization": ""}, {"x-api-key": BAD_KEY}):
        reply = api.reply("POST", "/v1/messages", headers, content, 0.0)
        assert error_of(reply) == (401, "authentication_error", "invalid x-api-key")


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/messages/batches/x/rows", "*", "/v1/model"])
def test_no_such_path_is_not_found(path: str) -> None:
    """What the simulator does not serve it does not pretend to serve."""
    assert error_of(SimulatedApi().reply("POST", path, KEY, b"{}", 0.0))[:2] == (
        404,
        "not_found_error",
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/messages"),
        ("OPTIONS", "/v1/messages/count_tokens"),
        ("PUT", "/v1/messages/batches"),
        ("HEAD", "/v1/messages/batches/msgbatch_sim1"),
        ("POST", "/v1/messages/batches/msgbatch_sim1/results"),
        ("DELETE", "/v1/models/claude-haiku-5-5"),
    ],
)
def test_another_method_is_not_allowed(method: str, path: str) -> None:
    """A path that exists says so."""
    refused = error_of(SimulatedApi().reply(method, path, KEY, b"{}", 0.0))
    assert refused == (405, "invalid_request_error", "Method Not Allowed")


def test_a_compressed_body_is_read() -> None:
    """The same request compressed gets the same answer; a broken one is a 400 with its code."""
    content = json.dumps(BODY).encode()
    packed, headers = gzip.compress(content), {**KEY, "Content-Encoding": "gzip"}
    reply = SimulatedApi().reply("POST", "/v1/messages", headers, packed, 0.0)
    assert reply == ask(SimulatedApi(), BODY)
    broken = SimulatedApi().reply("POST", "/v1/messages", headers, content, 0.0)
    code = json.loads(broken.body)["error"]["details"]["error_code"]
    assert (broken.status, code) == (400, "request_body_encoding_invalid")


def test_a_body_that_announces_too_much_is_refused_unread() -> None:
    """What the length promises is judged before what has come."""
    headers = {**KEY, "content-length": str(32 * 1024 * 1024 + 1)}
    refused = error_of(SimulatedApi().reply("POST", "/v1/messages", headers, b"", 0.0))
    assert refused[:2] == (413, "request_too_large")


def test_the_engine_remembers_what_the_latest_request_came_to() -> None:
    """A fault, a decision, or neither, and never those of an earlier request."""
    api = SimulatedApi(faults=[Fault("slow", first=1)])
    seen = []
    for body in (BODY, {}):
        ask(api, body)
        seen.append((api.engine.struck is not None, api.engine.decided is not None))
    assert seen == [(True, True), (False, False)]


def test_an_unknown_model_is_not_found() -> None:
    """The message is the recorded one."""
    refused = error_of(ask(SimulatedApi(), {**BODY, "model": "claude-9"}))
    assert refused == (404, "not_found_error", "model: claude-9")


def test_a_prompt_beyond_the_window_is_too_long() -> None:
    """The refusal names both figures in the recorded words."""
    name = "claude-haiku-4-5"
    body = {**BODY, "model": name, "messages": [{"role": "user", "content": "x" * 700_000}]}
    asked = {key: value for key, value in body.items() if key != "max_tokens"}
    tokens = json.loads(ask(SimulatedApi(), asked, count=True).body)["input_tokens"]
    window = model(name).context_window
    message = f"prompt is too long: {tokens} tokens > {window} maximum"
    assert error_of(ask(SimulatedApi(), body)) == (400, "invalid_request_error", message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.5}, "temperature: Extra inputs are not permitted"),
        ({"top_k": 3}, "top_k: Extra inputs are not permitted"),
        ({"max_tokens": "12"}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 0"),
        ({"max_tokens": 128_001}, "max_tokens: 128001 > 128000, which is the maximum allowed"),
        ({"model": ["claude"]}, "model: Input should be a valid string"),
        ({"stream": "yes"}, "stream: Input should be a valid boolean"),
        ({"speed": 2}, "speed: Input should be 'standard' or 'fast'"),
        ({"system": 5}, "system: Input should be"),
        ({"tools": [1]}, "tools.0: Input should be"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [3]}, "messages.0: Input should be an object"),
        ({"messages": [{"role": "king", "content": ""}]}, "messages.0.role: Input should be"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"messages": [{"role": "user", "content": [1]}]}, "messages.0.content.0: Input should be"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.0: all messages must have non"),
        ({"messages": [{"role": "assistant", "content": ""}]}, "messages: first message must use"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_malformed_request_is_refused_by_name(change: dict[str, Any], message: str) -> None:
    """The refusal begins with the field that is wrong."""
    status, kind, told = error_of(ask(SimulatedApi(), {**BODY, **change}))
    assert (status, kind) == (400, "invalid_request_error")
    assert told.startswith(message)


@pytest.mark.parametrize("field", ["model", "max_tokens", "messages"])
def test_a_missing_field_is_named(field: str) -> None:
    """Each required field is required."""
    body = {name: value for name, value in BODY.items() if name != field}
    assert error_of(ask(SimulatedApi(), body))[2] == f"{field}: Field required"


def test_counting_needs_no_limit() -> None:
    """Token counting asks for neither `max_tokens` nor anything it would pay for."""
    body = {name: value for name, value in BODY.items() if name != "max_tokens"}
    assert json.loads(ask(SimulatedApi(), body, count=True).body) == {"input_tokens": 13}


def test_prefill_is_refused_where_the_real_models_refuse_it() -> None:
    """Claude 4.6 and later take no unfinished answer; the ones before do."""
    turns = [*BODY["messages"], {"role": "assistant", "content": "It"}]
    body = {**BODY, "messages": turns}
    refused = "This model does not support assistant message prefill."
    assert error_of(ask(SimulatedApi(), body))[2].startswith(refused)
    assert ask(SimulatedApi(), {**body, "model": "claude-haiku-4-5"}).status == 200


def test_it_remembers_only_what_the_request_says() -> None:
    """Asked for what was told in an earlier turn it knows, asked without that turn it does not."""
    told = {"role": "user", "content": "Hello, my name is Ada."}
    asked = {"role": "user", "content": [{"type": "text", "text": "What is my name?"}]}
    answered = {"role": "assistant", "content": "Hello."}
    with_memory = ask(SimulatedApi(), {**BODY, "messages": [told, answered, asked]})
    without = ask(SimulatedApi(), {**BODY, "messages": [asked]})
    assert "Your name is Ada." in with_memory.body.decode()
    assert "does not say what your name is" in without.body.decode()


def test_every_answer_says_that_it_is_simulated() -> None:
    """Nobody can take a simulated answer for a model's."""
    for seed in range(20):
        text = json.loads(ask(SimulatedApi(seed=seed), BODY).body)["content"][0]["text"]
        assert text.startswith("Simulated answer")


def test_only_a_batch_under_way_says_when_to_ask_again() -> None:
    """Recorded so: `retry-after` comes with every poll but the last."""
    api = SimulatedApi()
    content = json.dumps({"requests": [{"custom_id": "a", "params": BODY}]}).encode()
    made = api.reply("POST", "/v1/messages/batches", KEY, content, 0.0)
    path = f"/v1/messages/batches/{json.loads(made.body)['id']}"
    early, late = (api.reply("GET", path, KEY, b"", now) for now in (1.0, 100_000.0))
    assert early.headers["retry-after"] == "10"
    assert "retry-after" not in late.headers


def test_a_prompt_counts_the_same_with_and_without_breakpoints() -> None:
    """Marking blocks for the prompt cache divides the prompt, and never changes its length."""
    marked = {"cache_control": {"type": "ephemeral"}}
    tool = {"name": "f", "description": "d" * 5000, "input_schema": {"type": "object"}}
    system = [{"type": "text", "text": "s" * 3001}, {"type": "text", "text": "t" * 7}]
    plain = {**BODY, "tools": [tool], "system": system}
    cached = {**plain, "tools": [{**tool, **marked}], **marked}
    one, other = (json.loads(ask(SimulatedApi(), each).body)["usage"] for each in (plain, cached))
    assert one["input_tokens"] == other["input_tokens"] + other["cache_creation_input_tokens"]
    assert other["input_tokens"] == 3

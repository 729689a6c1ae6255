"""Every fault does what it says, through the real SDK: sync and async, plain and streamed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import Anthropic, AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st

from labkit.clock import VirtualClock
from labkit.sim.answers import Composed, spoiled
from labkit.sim.batch_faults import batch_script
from labkit.sim.batch_script import BatchScript
from labkit.sim.core import SimulatedApi
from labkit.sim.fault_kinds import BATCH_FAULTS, STOPS
from labkit.sim.faults import FAULTS, Fault, apply
from labkit.sim.reply import Reply
from labkit.sim.transport import AsyncReplyTransport, ReplyTransport, Simulated
from labkit.virtual_loop import run_virtual

ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Why do queues grow?"}],
}


class Story:
    """What one call through the SDK came to: text so far, message or error, and the time."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.text = ""
        self.message: Any = None
        self.error: Any = None


def sync_plain(api: SimulatedApi) -> Story:
    """Ask once with `Anthropic`."""
    story = Story()
    client = _sync(api, story)
    try:
        story.message = client.messages.create(**ASK)
        story.text = _text(story.message)
    except Exception as error:
        story.error = error
    return story


def sync_stream(api: SimulatedApi) -> Story:
    """Ask once with `Anthropic`, reading a stream."""
    story = Story()
    client = _sync(api, story)
    try:
        with client.messages.stream(**ASK) as stream:
            for text in stream.text_stream:
                story.text += text
            story.message = stream.get_final_message()
    except Exception as error:
        story.error = error
    return story


def async_plain(api: SimulatedApi) -> Story:
    """Ask once with `AsyncAnthropic` on virtual time."""
    story = Story()

    async def main() -> None:
        client = _async(api, story)
        try:
            story.message = await client.messages.create(**ASK)
            story.text = _text(story.message)
        except Exception as error:
            story.error = error

    run_virtual(main(), story.clock)
    return story


def async_stream(api: SimulatedApi) -> Story:
    """Ask once with `AsyncAnthropic` on virtual time, reading a stream."""
    story = Story()

    async def main() -> None:
        client = _async(api, story)
        try:
            async with client.messages.stream(**ASK) as stream:
                async for text in stream.text_stream:
                    story.text += text
                story.message = await stream.get_final_message()
        except Exception as error:
            story.error = error

    run_virtual(main(), story.clock)
    return story


def _sync(api: SimulatedApi, story: Story) -> Anthropic:
    http = httpx2.Client(transport=ReplyTransport(Simulated(api), story.clock))
    return Anthropic(api_key="k", http_client=http, max_retries=0)


def _async(api: SimulatedApi, story: Story) -> AsyncAnthropic:
    http = httpx2.AsyncClient(transport=AsyncReplyTransport(Simulated(api), story.clock))
    return AsyncAnthropic(api_key="k", http_client=http, max_retries=0)


def _text(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


PLAIN = pytest.mark.parametrize("call", [sync_plain, async_plain])
STREAM = pytest.mark.parametrize("call", [sync_stream, async_stream])
EVERY = pytest.mark.parametrize("call", [sync_plain, async_plain, sync_stream, async_stream])
Call = Callable[[SimulatedApi], Story]


def suffer(call: Call, kind: str, **how: Any) -> Story:
    """Make one call to a server on which one fault strikes."""
    return call(SimulatedApi(faults=[Fault(kind, **how)]))


@EVERY
@pytest.mark.parametrize(
    ("kind", "expected", "status", "error_type"),
    [
        ("rate_limited", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("spend_limit", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("internal", anthropic.InternalServerError, 500, "api_error"),
        ("unavailable", anthropic.ServiceUnavailableError, 503, None),
        ("gateway_timeout", anthropic.GatewayTimeoutError, 504, "timeout_error"),
        ("overloaded", anthropic.OverloadedError, 529, "overloaded_error"),
    ],
)
def test_an_answered_fault_is_the_sdks_own_error(
    call: Call, kind: str, expected: type[anthropic.APIStatusError], status: int, error_type: str
) -> None:
    """The status and the error's type arrive as the SDK's exception for them."""
    error = suffer(call, kind).error
    assert isinstance(error, expected)
    assert (error.status_code, error.type) == (status, error_type)


@EVERY
def test_a_rate_limit_can_say_when_to_come_back(call: Call) -> None:
    """`retry_after` is sent as whole seconds where it is whole."""
    for seconds, sent in ((30, "30"), (2.5, "2.5"), (86_400 * 31, "2678400")):
        headers = suffer(call, "rate_limited", retry_after=seconds).error.response.headers
        assert headers["retry-after"] == sent
        assert headers["x-should-retry"] == "true"


@EVERY
def test_a_spend_limit_has_a_code_and_no_way_back(call: Call) -> None:
    """A spend limit is told apart by its code and says nothing of coming back."""
    error = suffer(call, "spend_limit").error
    assert error.error_code == "enforced_spend_limit_reached"
    assert "retry-after" not in error.response.headers


@EVERY
def test_a_refused_connection_is_a_connection_error(call: Call) -> None:
    """Nothing listens: the SDK reports no response at all, at once."""
    story = suffer(call, "refused")
    assert type(story.error) is anthropic.APIConnectionError
    assert isinstance(story.error.__cause__, httpx2.ConnectError)
    assert story.clock.now() == 0


@EVERY
def test_a_reset_connection_is_a_connection_error(call: Call) -> None:
    """The connection breaks before the first byte of the answer."""
    story = suffer(call, "reset")
    assert type(story.error) is anthropic.APIConnectionError
    assert isinstance(story.error.__cause__, httpx2.RemoteProtocolError)


@EVERY
def test_silence_ends_with_the_clients_patience(call: Call) -> None:
    """A server that never answers costs exactly the SDK's read timeout."""
    story = suffer(call, "silence")
    assert type(story.error) is anthropic.APITimeoutError
    assert story.clock.now() == 600


@STREAM
def test_a_cut_stream_breaks_raw_after_what_was_read(call: Call) -> None:
    """The text up to the cut arrives; then the connection's own error, not the SDK's."""
    whole = call(SimulatedApi())
    story = suffer(call, "cut", after=6)
    assert type(story.error) is httpx2.RemoteProtocolError
    assert 0 < len(story.text) < len(whole.text)
    assert whole.text.startswith(story.text)
    assert 0 < story.clock.now() < whole.clock.now()


@STREAM
def test_a_stream_cut_late_still_lacks_its_end(call: Call) -> None:
    """However many events may pass, the last one never does."""
    story = suffer(call, "cut", after=10_000)
    assert type(story.error) is httpx2.RemoteProtocolError
    assert story.text == call(SimulatedApi()).text


def test_a_cut_comes_when_the_next_event_was_due() -> None:
    """The client waits for it in vain, and the API's answer says for how long."""
    content = json.dumps({**ASK, "stream": True}).encode()
    headers = {"x-api-key": "k", "anthropic-version": "2026-10-21"}
    healthy, broken = (
        SimulatedApi(faults=faults).reply("POST", "/v1/messages", headers, content, 0.0)
        for faults in ([], [Fault("cut", after=6)])
    )
    assert len(broken.chunks) == 6
    assert broken.duration_s == healthy.chunks[6][0] > broken.chunks[-1][0]


@PLAIN
def test_a_cut_body_is_a_connection_error(call: Call) -> None:
    """Half of a body is no answer: the SDK sees a broken connection."""
    story = suffer(call, "cut", after=3)
    assert type(story.error) is anthropic.APIConnectionError
    assert isinstance(story.error.__cause__, httpx2.RemoteProtocolError)
    assert story.clock.now() > 0


@STREAM
@pytest.mark.parametrize("after", [0, 5, 10_000])
def test_an_error_event_is_an_error_with_status_200(call: Call, after: int) -> None:
    """An overload in mid-stream is a plain status error whose status is 200."""
    story = suffer(call, "stream_error", after=after)
    error: Any = story.error
    assert error.__class__ is anthropic.APIStatusError
    assert (error.status_code, error.type) == (200, "overloaded_error")
    event: Any = error.body
    assert event["request_id"] == error.response.headers["request-id"]
    assert bool(story.text) == (after > 4)


@PLAIN
def test_without_a_stream_the_overload_is_a_status(call: Call) -> None:
    """Where no event can be sent, the same overload is a 529."""
    assert type(suffer(call, "stream_error").error) is anthropic.OverloadedError


@EVERY
def test_slow_is_the_same_answer_later(call: Call) -> None:
    """Every time is multiplied, and nothing else changes."""
    usual, slow = call(SimulatedApi()), suffer(call, "slow", factor=8)
    assert slow.text == usual.text
    assert slow.clock.now() == pytest.approx(8 * usual.clock.now(), abs=0.02)


@EVERY
def test_a_ramp_limit_has_a_code_and_says_when_to_come_back(call: Call) -> None:
    """The SDK has an error of its own for it; the wait is there even if nobody gives one."""
    error = suffer(call, "ramp_limited").error
    assert type(error) is anthropic.RampLimitExceededError
    assert error.error_code == "ramp_limit_exceeded"
    assert error.response.headers["retry-after"] == "20"
    assert error.response.headers["x-should-retry"] == "true"
    other = suffer(call, "ramp_limited", retry_after=5).error
    assert other.response.headers["retry-after"] == "5"


@EVERY
def test_a_drip_is_the_whole_answer_in_tiny_pieces(call: Call) -> None:
    """Each piece comes within the SDK's patience, so the answer outlasts every read timeout."""
    usual, slow = call(SimulatedApi()), suffer(call, "drip", every=500)
    assert slow.text == usual.text
    assert slow.clock.now() > 10_000
    fast = suffer(call, "drip", every=0.001)
    assert (fast.text, fast.clock.now() < 2 * usual.clock.now()) == (usual.text, True)


@EVERY
def test_a_drip_slower_than_the_clients_patience_is_a_timeout(call: Call) -> None:
    """Before the answer it is the SDK's timeout, within it the connection's own."""
    story = suffer(call, "drip", every=601)
    assert type(story.error) in (anthropic.APITimeoutError, httpx2.ReadTimeout)


@STREAM
def test_pings_keep_a_client_waiting(call: Call) -> None:
    """A stream that only pings never times out by itself; when it goes on, all is well."""
    usual, story = call(SimulatedApi()), suffer(call, "ping_only", every=10, lasts=5000)
    assert story.text == usual.text
    assert story.message.stop_reason == "end_turn"
    assert story.clock.now() == pytest.approx(usual.clock.now() + 5000)


@STREAM
def test_pings_for_ever_are_ten_thousand_pings(call: Call) -> None:
    """Then silence, which ends with the client's patience; not a word has been said."""
    story = suffer(call, "ping_only", every=30)
    assert type(story.error) is httpx2.ReadTimeout
    assert story.text == ""
    assert story.clock.now() > 10_000 * 30


@PLAIN
def test_without_a_stream_there_is_nothing_to_ping_with(call: Call) -> None:
    """The answer is that much later, or never comes."""
    usual, late = call(SimulatedApi()), suffer(call, "ping_only", lasts=100)
    assert late.text == usual.text
    assert late.clock.now() == pytest.approx(usual.clock.now() + 100)
    assert type(suffer(call, "ping_only").error) is anthropic.APITimeoutError


@STREAM
def test_a_stream_without_its_end_raises_nothing(call: Call) -> None:
    """Whoever does not look for the stop reason takes half an answer for a whole one."""
    whole = call(SimulatedApi())
    story = suffer(call, "no_message_stop", after=6)
    assert story.error is None
    assert story.message.stop_reason is None
    assert whole.text.startswith(story.text)
    assert 0 < len(story.text) < len(whole.text)


@STREAM
def test_only_the_last_event_may_be_missing(call: Call) -> None:
    """Then the message is whole, and the SDK does not notice."""
    whole, story = call(SimulatedApi()), suffer(call, "no_message_stop")
    assert (story.text, story.message.stop_reason) == (whole.text, "end_turn")


@EVERY
def test_malformed_json_is_not_an_error_of_the_sdk(call: Call) -> None:
    """A 200 whose body ends too early raises the JSON parser's own error."""
    for after in (0, 2, 6, 10_000):
        story = suffer(call, "malformed_json", after=after)
        assert type(story.error) is json.JSONDecodeError
    assert bool(story.text) == (call in (sync_stream, async_stream))


def test_a_malformed_event_leaves_the_others_alone() -> None:
    """One event of the stream ends too early; pings are passed over."""
    healthy = _raw(stream=True)
    for after in range(len(healthy.chunks) + 2):
        broken = apply(Fault("malformed_json", after=after), healthy, "req_1")
        pairs = zip(healthy.chunks, broken.chunks, strict=True)
        changed = [(one[1], other[1]) for one, other in pairs if one != other]
        assert len(changed) == 1
        assert b"ping" not in changed[0][0]
        assert changed[0][1].endswith(b"\n\n")


@PLAIN
def test_a_body_shorter_than_announced_is_a_connection_error(call: Call) -> None:
    """The SDK reads the whole body before it looks at it."""
    story = suffer(call, "wrong_length")
    assert type(story.error) is anthropic.APIConnectionError
    assert isinstance(story.error.__cause__, httpx2.RemoteProtocolError)


@STREAM
def test_a_stream_shorter_than_announced_fails_after_its_end(call: Call) -> None:
    """All the words have come, and yet the connection's own error follows them."""
    story = suffer(call, "wrong_length")
    assert type(story.error) is httpx2.RemoteProtocolError
    assert story.text == call(SimulatedApi()).text


def test_more_is_announced_than_comes() -> None:
    """The header promises more bytes than there are."""
    for stream in (False, True):
        healthy = _raw(stream=stream)
        broken = apply(Fault("wrong_length"), healthy, "req_1")
        assert int(broken.headers["content-length"]) > len(broken.body)
        assert (broken.body, broken.ending) == (healthy.body, "reset")


@EVERY
def test_a_refusal_is_an_answer_with_status_200(call: Call) -> None:
    """Before any word, or in the middle of it; the details say that it is one."""
    whole, early = call(SimulatedApi()), suffer(call, "refusal")
    assert (early.text, early.message.usage.output_tokens) == ("", 0)
    late = suffer(call, "refusal", after=10)
    assert late.text == whole.text[:25]
    assert late.message.usage.output_tokens == 10
    for story in (early, late):
        assert story.message.stop_reason == "refusal"
        assert story.message.stop_details.type == "refusal"
        assert story.clock.now() < whole.clock.now()


@EVERY
def test_an_empty_answer_ends_its_turn(call: Call) -> None:
    """Nothing is said, a few tokens are billed, and the stop reason sees nothing wrong."""
    story = suffer(call, "empty")
    assert (story.text, story.message.stop_reason) == ("", "end_turn")
    assert story.message.usage.output_tokens == 3


@EVERY
def test_tokens_can_run_out_before_max_tokens(call: Call) -> None:
    """Half-way, or after so many; the stop reason is that of the limit."""
    whole = call(SimulatedApi())
    half, few = suffer(call, "out_of_tokens"), suffer(call, "out_of_tokens", after=4)
    for story, tokens in ((half, (whole.message.usage.output_tokens + 1) // 2), (few, 4)):
        assert story.message.stop_reason == "max_tokens"
        assert story.message.usage.output_tokens == tokens
        assert whole.text.startswith(story.text)


@EVERY
def test_a_pause_keeps_what_was_said(call: Call) -> None:
    """The whole content comes, to be sent back."""
    whole, story = call(SimulatedApi()), suffer(call, "pause_turn")
    assert (story.text, story.message.stop_reason) == (whole.text, "pause_turn")


@given(st.sampled_from(sorted(STOPS)), st.integers(0, 99), st.text(max_size=99))
def test_a_fault_of_words_never_adds_any(kind: str, after: int, said: str) -> None:
    """What is left is a beginning of what was said, and its tokens are those the fault tells."""
    content = ({"type": "text", "text": said},)
    whole = Composed(content, output_tokens=(len(said) * 2 + 4) // 5, thinking_tokens=0)
    fault = Fault(kind, after=after)
    left = spoiled(whole, fault, "claude-haiku-5-5")
    assert left.stop_reason == STOPS[kind]
    assert left.output_tokens == fault.tokens_left(whole.output_tokens)
    assert said.startswith("".join(block["text"] for block in left.content))


@given(st.sampled_from(sorted(set(FAULTS) - set(STOPS))))
def test_a_fault_of_the_wire_changes_no_words(kind: str) -> None:
    """What is said is not its business."""
    whole = Composed(({"type": "text", "text": "Yes."},), output_tokens=2)
    assert spoiled(whole, Fault(kind), "claude-haiku-5-5") == whole
    assert spoiled(whole, None, "claude-haiku-5-5") == whole


@pytest.mark.parametrize("kind", [*STOPS, *BATCH_FAULTS])
def test_faults_of_words_and_batches_leave_the_wire_alone(kind: str) -> None:
    """The reply goes through as it is."""
    healthy = _raw(stream=True)
    assert apply(Fault(kind), healthy, "req_1") == healthy


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", FAULTS)
@given(after=st.integers(0, 99), every=st.floats(0.01, 99), lasts=st.floats(0, 999))
def test_time_runs_forward_under_every_fault(
    kind: str, stream: bool, after: int, every: float, lasts: float
) -> None:
    """However an answer breaks, none of its bytes comes before the ones it follows."""
    fault = Fault(kind, after=after, every=every, lasts=lasts)
    broken = apply(fault, _raw(stream=stream), "req_1")
    times = [at for at, _ in broken.chunks]
    assert times == sorted(times)
    assert not broken.ended_s or not times or broken.ended_s >= times[-1]


def _raw(*, stream: bool) -> Reply:
    """Return a sound reply."""
    if not stream:
        body = json.dumps({"content": [{"type": "text", "text": "Zürich " * 9}]}).encode()
        return Reply(200, {"content-type": "application/json"}, ((1.5, body),))
    kinds = ["message_start", "content_block_start", "ping", *["content_block_delta"] * 5]
    kinds += ["content_block_stop", "message_delta", "message_stop"]
    frames = [
        (1 + n / 8, f'event: {kind}\ndata: {{"type": "{kind}"}}\n\n'.encode())
        for n, kind in enumerate(kinds)
    ]
    return Reply(200, {"content-type": "text/event-stream; charset=utf-8"}, tuple(frames))


@EVERY
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_that_is_over_leaves_no_trace(call: Call, kind: str) -> None:
    """The request after the last one struck is answered as if nothing had been."""
    api = SimulatedApi(faults=[Fault(kind, first=1)])
    calm = SimulatedApi()
    call(api), call(calm)
    struck, spared = call(api), call(calm)
    assert (struck.error, struck.text) == (None, spared.text)


def test_slow_is_reported_in_the_servers_own_time() -> None:
    """The header that reports the server's time tells of the slowness too."""
    story = Story()
    api = SimulatedApi(faults=[Fault("slow", factor=5)])
    response = _sync(api, story).messages.with_raw_response.create(**ASK)
    reported = int(response.headers["x-envoy-upstream-service-time"])
    assert reported == pytest.approx(story.clock.now() * 1000, abs=5)


def test_a_wrong_request_stays_wrong_under_any_stream_fault() -> None:
    """A fault of streams does not turn a 400 into something else."""
    client = _sync(SimulatedApi(faults=[Fault("stream_error")]), Story())
    with pytest.raises(anthropic.BadRequestError):
        client.messages.create(**{**ASK, "messages": []})


@given(st.integers(1, 50), st.floats(0, 100), st.floats(0, 100), st.floats(0, 200))
def test_a_fault_strikes_within_its_window_only(
    first: int, start: float, length: float, now: float
) -> None:
    """It strikes the first so many, from `start` on, before `end`."""
    fault = Fault("overloaded", first=first, start=start, end=start + length)
    inside = start <= now < start + length
    assert fault.strikes(first, now, 0.0) == inside
    assert not fault.strikes(first + 1, now, 0.0)


def test_a_share_is_met_and_two_faults_roll_their_own_dice() -> None:
    """One in ten and one in ten of the rest are struck, each by its own fault."""
    api = SimulatedApi(faults=[Fault("internal", share=0.1), Fault("overloaded", share=0.1)])
    statuses = [api.reply("POST", "/v1/messages", {}, b"", 0.0).status for _ in range(5000)]
    assert statuses.count(500) == pytest.approx(500, abs=80)
    assert statuses.count(529) == pytest.approx(450, abs=80)


def test_which_requests_are_struck_does_not_depend_on_their_words() -> None:
    """A changed prompt meets the same weather."""

    def weather(content: bytes) -> list[int]:
        api = SimulatedApi(seed=3, faults=[Fault("internal", share=0.5)])
        return [api.reply("POST", "/v1/messages", {}, content, 0.0).status for _ in range(50)]

    assert weather(b"one") == weather(b"another")


def test_the_first_fault_that_applies_decides() -> None:
    """Of two faults that both apply, the one listed first strikes."""
    api = SimulatedApi(faults=[Fault("internal", first=1), Fault("overloaded", first=2)])
    statuses = [api.reply("POST", "/v1/messages", {}, b"", 0.0).status for _ in range(3)]
    assert statuses == [500, 529, 401]


@EVERY
def test_a_fault_may_be_for_one_model_alone(call: Call) -> None:
    """Any of the model's names will do; every other model is spared."""
    assert suffer(call, "overloaded", model=ASK["model"]).error is not None
    assert suffer(call, "overloaded", model="claude-opus-5-5").error is None


def test_a_model_is_the_same_by_any_of_its_names() -> None:
    """A fault for an alias strikes the dated name, and the other way round."""
    names = ["claude-haiku-4-5", "claude-haiku-4-5-20251001"]
    for fault in (Fault("internal", model=names[0]), Fault("internal", model=names[1])):
        assert [fault.strikes(1, 0.0, 0.0, model_name=name) for name in names] == [True, True]
        assert not fault.strikes(1, 0.0, 0.0, model_name="claude-opus-5-5")
        assert not fault.strikes(1, 0.0, 0.0)


def test_a_fault_may_be_for_one_path_alone() -> None:
    """Counting tokens goes on while messages fail."""
    client = _sync(SimulatedApi(faults=[Fault("internal", path="/v1/messages")]), Story())
    counted = {name: value for name, value in ASK.items() if name != "max_tokens"}
    assert client.messages.count_tokens(**counted).input_tokens > 0
    with pytest.raises(anthropic.InternalServerError):
        client.messages.create(**ASK)
    fault = Fault("internal", path="/v1/messages")
    assert fault.strikes(1, 0.0, 0.0, path="/v1/messages?beta=true")
    assert not fault.strikes(1, 0.0, 0.0)


@pytest.mark.parametrize("kind", BATCH_FAULTS)
def test_a_fault_of_batches_strikes_no_request(kind: str) -> None:
    """It must not use up the place of one that does."""
    assert not Fault(kind).strikes(1, 0.0, 0.0)


def test_a_timeline_tells_batches_what_goes_wrong() -> None:
    """Shares add up to one at most, the longest time hidden counts, other faults do not."""
    faults = [
        Fault("batch_row_errored", share=0.25),
        Fault("batch_row_errored", share=0.5),
        Fault("batch_row_expired"),
        Fault("batch_row_expired", share=0.5),
        Fault("batch_not_found_yet", lasts=3),
        Fault("batch_not_found_yet"),
        Fault("overloaded"),
    ]
    assert batch_script(faults) == BatchScript(errored=0.75, expired=1.0, hidden_s=10.0)
    assert batch_script([]) == BatchScript()

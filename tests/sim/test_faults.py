"""Every fault does what it says, through the real SDK: sync and async, plain and streamed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import anthropic
import httpx2
import pytest
from anthropic import Anthropic, AsyncAnthropic
from hypothesis import given
from hypothesis import strategies as st

from labkit.clock import VirtualClock
from labkit.errors import UserError
from labkit.sim.core import SimulatedApi
from labkit.sim.faults import FAULTS, Fault
from labkit.sim.transport import AsyncReplyTransport, ReplyTransport, Simulated
from labkit.virtual_loop import run_virtual

ASK: dict[str, Any] = {
    "model": "claude-haiku-5-5",
    "max_tokens": 200,
    "messages": [{"role": "user", "content": "Why do queues grow?"}],
}


class Story:
    """What one call through the SDK came to: text so far, the error if any, and the time."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.text = ""
        self.error: Any = None


def sync_plain(api: SimulatedApi) -> Story:
    """Ask once with `Anthropic`."""
    story = Story()
    client = _sync(api, story)
    try:
        story.text = _text(client.messages.create(**ASK))
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
    except Exception as error:
        story.error = error
    return story


def async_plain(api: SimulatedApi) -> Story:
    """Ask once with `AsyncAnthropic` on virtual time."""
    story = Story()

    async def main() -> None:
        client = _async(api, story)
        try:
            story.text = _text(await client.messages.create(**ASK))
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


@pytest.mark.parametrize(
    "how",
    [
        {"kind": "flood"},
        {"kind": "slow", "factor": 0},
        {"kind": "slow", "factor": inf},
        {"kind": "slow", "factor": nan},
        {"kind": "cut", "after": -1},
        {"kind": "internal", "share": 1.5},
        {"kind": "internal", "share": nan},
        {"kind": "internal", "start": 9, "end": 3},
        {"kind": "rate_limited", "retry_after": -1},
        {"kind": "rate_limited", "retry_after": inf},
    ],
    ids=str,
)
def test_a_fault_that_cannot_be_is_refused(how: dict[str, Any]) -> None:
    """A mistyped fault is an error where it is written, not a scene in which nothing happens."""
    with pytest.raises(UserError):
        Fault(**how)

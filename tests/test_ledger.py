"""The ledger: what the SDK's spans say of calls, exactly, cheaply and from many threads."""

from __future__ import annotations

import asyncio
import decimal
import gc
import json
import threading
import weakref
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import anthropic
import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from labkit.calls import Call, call_of
from labkit.clock import VirtualClock
from labkit.layers.deadline import Deadline
from labkit.layers.retry import Retry
from labkit.ledger import Ledger
from labkit.pricing import Usage, cost
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from tests.scenes import ASK, Scene, Scripted

JSON = {"content-type": "application/json", "request-id": "req_1"}
SSE = {"content-type": "text/event-stream; charset=utf-8"}
USAGE: dict[str, Any] = {"input_tokens": 1000, "output_tokens": 200}


def message(usage: Mapping[str, Any], **change: Any) -> dict[str, Any]:
    """A message as the API sends it."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-5-5",
        "content": [{"type": "text", "text": "Because."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": dict(usage),
        **change,
    }


def plain(usage: Mapping[str, Any], **change: Any) -> Scene:
    """A scene whose server gives one answer, after two seconds."""
    body = json.dumps(message(usage, **change)).encode()
    return Scene(Scripted(Reply(200, JSON, ((2.0, body),))))


def stream(usage: Mapping[str, Any], *, stop: bool = True, **change: Any) -> Scene:
    """The same answer streamed: start at 1 s, words at 2 s, the end at 3 s."""
    whole = message(usage, **change)
    start = {**whole, "content": [], "usage": {**whole["usage"], "output_tokens": 1}}
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    block = {"type": "text", "text": ""}
    words = {"type": "text_delta", "text": "Because."}
    events: list[tuple[float, str, dict[str, Any]]] = [
        (1.0, "message_start", {"message": start}),
        (1.0, "content_block_start", {"index": 0, "content_block": block}),
        (2.0, "content_block_delta", {"index": 0, "delta": words}),
        (3.0, "content_block_stop", {"index": 0}),
        (3.0, "message_delta", {"delta": delta, "usage": dict(usage)}),
    ]
    if stop:
        events.append((3.0, "message_stop", {}))
    frames = tuple(
        (at, f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n".encode())
        for at, name, data in events
    )
    return Scene(Scripted(Reply(200, SSE, frames)))


def ask(scene: Scene, **change: Any) -> Call:
    """Make one plain call and return its row."""
    scene.client().messages.create(**{**ASK, **change})
    return scene.ledger.calls[-1]


def read(scene: Scene, **change: Any) -> Call:
    """Make one streamed call, read it to the end and return its row."""
    with scene.client().messages.stream(**{**ASK, **change}) as answer:
        answer.until_done()
    return scene.ledger.calls[-1]


BOTH = pytest.mark.parametrize(("make", "call"), [(plain, ask), (stream, read)])


@BOTH
def test_every_kind_of_token_is_entered_and_priced(make: Any, call: Any) -> None:
    """Uncached, read, and both lifetimes of writes come out as the API reported them."""
    usage = {
        **USAGE,
        "cache_read_input_tokens": 5000,
        "cache_creation_input_tokens": 700,
        "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 400},
    }
    row = call(make(usage))
    assert row.input_tokens == 1000
    assert row.cache_read_input_tokens == 5000
    assert row.cache_creation_5m_input_tokens == 300
    assert row.cache_creation_1h_input_tokens == 400
    assert row.output_tokens == 200
    expected = cost("claude-haiku-5-5", Usage.from_api(usage))
    assert (row.cost_usd, row.cost_note) == (expected, "")
    assert expected == Decimal("0.0003675")


@BOTH
def test_missing_cache_fields_are_unknown_not_zero(make: Any, call: Any) -> None:
    """An older answer says nothing of the prompt cache, and neither does the row."""
    row = call(make(USAGE))
    assert row.cache_read_input_tokens is None
    assert row.cache_creation_5m_input_tokens is None
    assert row.cache_creation_1h_input_tokens is None
    assert row.cost_usd == Decimal("0.0002")


@BOTH
def test_a_long_prompt_costs_the_step(make: Any, call: Any) -> None:
    """Beyond 100,000 prompt tokens, cache reads included, every token costs the higher price."""
    usage = {"input_tokens": 1, "output_tokens": 1000, "cache_read_input_tokens": 100_000}
    assert call(make(usage)).cost_usd == Decimal("0.0000005") + Decimal("0.005") + Decimal("0.0025")
    below = {**usage, "cache_read_input_tokens": 99_999}
    assert call(make(below)).cost_usd == Decimal("0.00000010") + Decimal("0.00099999") + Decimal(
        "0.0005"
    )


@BOTH
def test_a_batch_tier_is_half_price(make: Any, call: Any) -> None:
    """The service tier of the answer decides."""
    assert call(make({**USAGE, "service_tier": "batch"})).cost_usd == Decimal("0.0001")


@BOTH
def test_the_priority_tier_has_no_price_per_token(make: Any, call: Any) -> None:
    """What is paid by commitment is unknown, with the reason."""
    row = call(make({**USAGE, "service_tier": "priority"}))
    assert row.cost_usd is None
    assert "priority" in row.cost_note


@BOTH
def test_fast_mode_and_us_only_are_priced_from_the_request(make: Any, call: Any) -> None:
    """The SDK's spans leave both out, so the request's own words are noted and priced."""
    opus = {"model": "claude-opus-5-5"}
    asked: dict[str, Any] = {**opus, "speed": "fast", "inference_geo": "us"}
    usage = Usage(input_tokens=1000, output_tokens=200, speed="fast", inference_geo="us")
    row = call(make(USAGE, **opus), **asked)
    assert row.cost_usd == cost("claude-opus-5-5", usage) == Decimal("0.0176")


@BOTH
@pytest.mark.parametrize(
    "apart",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
        {"extra_body": {"tools": [{"type": "advisor_20260301", "name": "advisor"}]}},
        {"extra_body": {"fallbacks": [{"model": "claude-opus-5-5"}]}},
    ],
    ids=["web search", "advisor", "fallbacks"],
)
def test_what_is_billed_apart_makes_the_price_unknown(
    make: Any, call: Any, apart: dict[str, Any]
) -> None:
    """The spans do not say what searches and other models cost, so nothing is pretended."""
    row = call(make(USAGE), **apart)
    assert row.cost_usd is None
    assert "span does not say what" in row.cost_note


@BOTH
def test_an_unknown_model_has_an_unknown_price(make: Any, call: Any) -> None:
    """The answer's model counts, and one that nobody knows has no price."""
    row = call(make(USAGE, model="claude-9"))
    assert (row.model, row.cost_usd) == ("claude-9", None)
    assert "claude-9" in row.cost_note


def test_compaction_makes_the_price_unknown() -> None:
    """The span sums up what compaction used, and a sum cannot be priced."""
    compaction = {"type": "compaction", "input_tokens": 50_000, "output_tokens": 900}
    usage = {**USAGE, "iterations": [compaction, {"type": "message", **USAGE}]}
    scene = plain(usage)
    scene.client().beta.messages.create(**ASK)
    row = scene.ledger.calls[0]
    assert row.cost_usd is None
    assert "compaction" in row.cost_note


def test_counting_tokens_is_free() -> None:
    """A count costs nothing, and that is known."""
    scene = Scene()
    scene.client().messages.count_tokens(model=ASK["model"], messages=ASK["messages"])
    row = scene.ledger.calls[0]
    assert (row.operation, row.cost_usd, row.cost_note) == (
        "messages.count_tokens",
        Decimal(0),
        "free",
    )


@BOTH
def test_stop_reason_status_and_times_are_entered(make: Any, call: Any) -> None:
    """The row says why the answer ended, and when, on the scene's own clock."""
    scene = make(USAGE, stop_reason="max_tokens")
    scene.clock.advance(5.0)
    row = call(scene)
    assert (row.stop_reason, row.status, row.error) == ("max_tokens", 200, None)
    assert (row.start_s, row.latency_s) == (5.0, 2.0 if make is plain else 3.0)
    assert row.first_chunk_s == (None if make is plain else 2.0)


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        ("rate_limited", 429, "rate_limit_error"),
        ("internal", 500, "api_error"),
        ("unavailable", 503, "503"),
        ("overloaded", 529, "overloaded_error"),
        ("refused", None, "connection_error"),
        ("silence", None, "client_timeout_error"),
    ],
)
@pytest.mark.parametrize("call", [ask, read])
def test_a_failed_call_has_its_error_and_no_price(
    call: Any, kind: str, status: int | None, error: str
) -> None:
    """What a failure cost is unknown, and said to be."""
    scene = Scene(faults=[Fault(kind)])
    with pytest.raises(anthropic.APIError):
        call(scene)
    row = scene.ledger.calls[0]
    assert (row.status, row.error, row.attempts) == (status, error, 1)
    assert (row.cost_usd, row.output_tokens) == (None, None)
    assert "no usage" in row.cost_note
    assert (scene.ledger.total(), scene.ledger.unpriced) == (Decimal(0), 1)


def test_a_stream_cut_half_way_has_no_price() -> None:
    """The input is known from the start, the output never became final."""
    scene = Scene(faults=[Fault("cut", after=6)])
    with pytest.raises(httpx2.RemoteProtocolError):
        read(scene)
    row = scene.ledger.calls[0]
    assert (row.status, row.error) == (200, "connection_error")
    assert (row.input_tokens, row.output_tokens, row.cost_usd) == (11, None, None)
    assert row.first_chunk_s is not None


def test_an_error_event_has_no_price() -> None:
    """An overload inside a 200 is an error of the call."""
    scene = Scene(faults=[Fault("stream_error", after=6)])
    with pytest.raises(anthropic.APIStatusError):
        read(scene)
    row = scene.ledger.calls[0]
    assert (row.error, row.cost_usd) == ("overloaded_error", None)


def test_a_stream_without_its_end_is_an_error_but_has_a_price() -> None:
    """A clean end without `message_stop` is told apart; the usage before it is final."""
    row = read(stream(USAGE, stop=False))
    assert (row.error, row.cost_usd) == ("api_error", Decimal("0.0002"))


def test_a_stream_closed_early_keeps_the_scenes_own_time() -> None:
    """The reader has enough after the first words: their time is the virtual one, not the real."""
    scene = stream(USAGE)
    with scene.client().messages.create(**ASK, stream=True) as answer:
        for event in answer:
            if event.type == "content_block_delta":
                break
    row = scene.ledger.calls[0]
    assert (row.first_chunk_s, row.latency_s) == (2.0, 2.0)
    assert (row.output_tokens, row.cost_usd) == (None, None)
    assert len(scene.ledger.attempts) == 1


def test_a_stream_nobody_reads_is_still_entered() -> None:
    """A stream dropped unread ends its call when it is collected."""
    scene = stream(USAGE)
    answer = scene.client().messages.create(**ASK, stream=True)
    assert scene.ledger.calls == []
    del answer
    gc.collect()
    assert scene.ledger.calls[0].cost_usd is None


@pytest.mark.parametrize("owner", ["sdk", "layer"])
def test_attempts_are_counted_whoever_retries(owner: str) -> None:
    """Two failures and a success are three attempts of one call."""
    scene = Scene(faults=[Fault("overloaded", first=2)])

    async def main() -> None:
        layers = [Retry(seed=1)] if owner == "layer" else []
        client = scene.async_client(*layers, max_retries=2 if owner == "sdk" else 0)
        await client.messages.create(**ASK)

    scene.run(main)
    (row,) = scene.ledger.calls
    assert (row.attempts, row.status, row.error) == (3, 200, None)
    assert [attempt.label for attempt in scene.ledger.attempts] == ["529", "529", "200"]
    assert list(scene.ledger.attempts_table()["attempt"]) == [1, 2, 3]
    assert ("retry(" in row.layers) == (owner == "layer")


def test_the_first_words_of_a_retried_stream_count_from_the_call() -> None:
    """Waiting for a second attempt is part of waiting for the first word."""
    scene = Scene(faults=[Fault("overloaded", first=1)])
    with scene.client(Retry(seed=1)).messages.stream(**ASK) as answer:
        answer.until_done()
    (row,), last = scene.ledger.calls, scene.ledger.attempts[-1]
    assert last.start_s > 0.1
    assert row.first_chunk_s is not None
    assert row.first_chunk_s > last.start_s - row.start_s


def test_a_call_that_nothing_was_sent_for_costs_nothing() -> None:
    """A layer that says no before anything leaves makes no attempt, which is known to be free."""

    class No(Deadline):
        def flow(self, request: Any) -> Any:  # noqa: ARG002
            raise RuntimeError("not today")
            yield

    scene = Scene()
    with pytest.raises(RuntimeError):
        scene.client(No(1)).messages.create(**ASK)
    row = scene.ledger.calls[0]
    assert (row.attempts, row.cost_usd, row.cost_note) == (0, Decimal(0), "nothing was sent")


def test_the_total_is_exact_whatever_the_caller_rounds_to() -> None:
    """Neither the order nor somebody's decimal context changes a digit."""
    scene = plain({"input_tokens": 1, "output_tokens": 999_999})
    with decimal.localcontext(decimal.Context(prec=3)):
        for _ in range(7):
            ask(scene)
        total = scene.ledger.total()
    assert total == Decimal("3.4999972")


def test_the_table_has_a_row_a_call_with_whole_numbers() -> None:
    """Token columns are integers even where some are unknown, and costs stay decimals."""
    scene = plain(USAGE)
    ask(scene)
    table = scene.ledger.table()
    assert list(table.columns)[:4] == ["number", "operation", "model", "attempts"]
    assert str(table["input_tokens"].dtype) == "Int64"
    assert table["cost_usd"][0] == Decimal("0.0002")
    assert table["cache_read_input_tokens"].isna().all()


def test_empty_tables_have_their_columns() -> None:
    """A scene in which nothing happened has tables without rows."""
    ledger = Ledger(VirtualClock())
    assert len(ledger.table()) == len(ledger.attempts_table()) == 0
    assert {"call", "attempt", "outcome"} <= set(ledger.attempts_table().columns)
    assert "cost_usd" in ledger.table().columns


def test_calls_are_numbered_in_the_order_in_which_they_began() -> None:
    """A call that takes longer keeps the number it got at its start."""
    scene = Scene(faults=[Fault("slow", first=1, factor=50)])

    async def main() -> None:
        client = scene.async_client()
        await asyncio.gather(*(client.messages.create(**ASK) for _ in range(3)))

    scene.run(main)
    assert [row.number for row in scene.ledger.calls] == [1, 2, 3]
    slowest = max(scene.ledger.calls, key=lambda row: row.latency_s)
    assert slowest.number == 1
    assert list(scene.ledger.attempts_table()["call"]) == [1, 2, 3]


def test_memory_is_bounded() -> None:
    """Only the last calls are kept, nothing else grows, and the total still counts them all."""
    scene = plain(USAGE)
    ledger = scene.ledger = Ledger(scene.clock, keep=10)
    scene.observers[0] = ledger.observe
    client = scene.client()
    for _ in range(60):
        client.messages.create(**ASK)
    assert [row.number for row in ledger.calls] == list(range(51, 61))
    assert len(ledger.attempts) == 10
    assert ledger.total() == 60 * Decimal("0.0002")
    assert [
        n for n, each in vars(ledger).items() if hasattr(each, "__len__") and len(each) > 10
    ] == []


def test_calls_that_never_end_do_not_pile_up() -> None:
    """Spans that are begun and lost are forgotten in time."""
    ledger = Ledger(VirtualClock(), keep=10)
    tracer = ledger.provider.get_tracer("com.anthropic.sdk.python")
    lost = [tracer.start_span("anthropic.messages.create", kind=trace.SpanKind.CLIENT)]
    for _ in range(50):
        lost.append(tracer.start_span("anthropic.messages.create", kind=trace.SpanKind.CLIENT))
    assert [
        n for n, each in vars(ledger).items() if hasattr(each, "__len__") and len(each) > 10
    ] == []
    lost[0].end()
    lost[-1].end()
    assert [row.number for row in ledger.calls] == [51]


def test_ending_a_call_does_not_look_at_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is entered with its own attempts only, however many there were before."""
    seen: list[int] = []

    def counting(span: ReadableSpan, number: int, began: float, ended: float, own: Any) -> Call:
        seen.append(len(own))
        return call_of(span, number, began, ended, own)

    monkeypatch.setattr("labkit.ledger.call_of", counting)
    scene = plain(USAGE)
    for _ in range(30):
        ask(scene)
    assert seen == [1] * 30


def test_spans_do_not_outlive_their_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are worked out a hundred together, or when somebody looks; then the spans go."""
    ledger = Ledger(VirtualClock())
    tracer = ledger.provider.get_tracer("com.anthropic.sdk.python")
    spans: list[weakref.ref[ReadableSpan]] = []

    def remembering(span: ReadableSpan, *rest: Any) -> Call:
        spans.append(weakref.ref(span))
        return call_of(span, *rest)

    monkeypatch.setattr("labkit.ledger.call_of", remembering)
    for _ in range(250):
        tracer.start_span("anthropic.messages.create", kind=trace.SpanKind.CLIENT).end()
    assert len(spans) == 200
    assert len(ledger.calls) == len(spans) == 250
    gc.collect()
    assert [span for span in spans if span() is not None] == []


def test_clearing_makes_the_next_call_the_first() -> None:
    """A new scene starts with call 1, an empty table and nothing spent."""
    scene = plain(USAGE)
    ask(scene)
    scene.ledger.clear()
    assert (scene.ledger.calls, scene.ledger.attempts) == ([], [])
    assert (scene.ledger.total(), scene.ledger.unpriced) == (Decimal(0), 0)
    assert ask(scene).number == 1


def test_a_call_open_while_clearing_belongs_to_the_old_scene() -> None:
    """A stream read on after `clear` leaves no row and no attempt in the new scene."""
    scene = stream(USAGE)
    answer = scene.client().messages.create(**ASK, stream=True)
    next(answer)
    scene.ledger.clear()
    other = scene.client().messages.create(**ASK, stream=True)
    list(answer)
    assert (scene.ledger.calls, scene.ledger.attempts) == ([], [])
    list(other)
    assert [row.number for row in scene.ledger.calls] == [1]
    assert len(scene.ledger.attempts_table()) == 1


def test_many_threads_write_one_ledger() -> None:
    """Concurrent calls lose nothing, while somebody keeps looking."""
    scene = plain(USAGE)
    client = scene.client()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(25):
                client.messages.create(**ASK)
                assert scene.ledger.calls
                assert scene.ledger.attempts
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [row.number for row in scene.ledger.calls] == list(range(1, 201))
    assert scene.ledger.total() == 200 * Decimal("0.0002")
    assert set(scene.ledger.attempts_table()["attempt"]) == {1}


def test_it_works_beside_others_in_the_callers_own_provider() -> None:
    """As one more span processor it enters the SDK's calls, and only those."""
    exported = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    scene = plain(USAGE)
    provider.add_span_processor(scene.ledger)
    tracing: Any = {"tracer_provider": provider, "propagation": False}
    with provider.get_tracer("my.program").start_as_current_span("anthropic.messages.create"):
        scene.client(open_telemetry=tracing).messages.create(**ASK)
    (row,) = scene.ledger.calls
    assert (row.number, row.cost_usd) == (1, Decimal("0.0002"))
    assert len(exported.get_finished_spans()) == 2


def test_a_sampler_in_the_environment_does_not_blind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that sampled would be a wrong ledger."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    scene = plain(USAGE)
    assert ask(scene).cost_usd == Decimal("0.0002")


def test_without_a_tap_the_call_is_still_entered() -> None:
    """A production client has no laboratory transport: tokens, cost and attempts come anyway."""
    body = json.dumps(message(USAGE)).encode()
    http = httpx2.Client(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(200, headers=JSON, content=body))
    )
    ledger = Ledger()
    tracing: Any = {"tracer_provider": ledger.provider}
    client = anthropic.Anthropic(api_key="k", http_client=http, open_telemetry=tracing)
    client.messages.create(**ASK)
    (row,) = ledger.calls
    assert (row.attempts, row.cost_usd, ledger.attempts) == (1, Decimal("0.0002"), [])


def test_an_attempt_of_no_call_is_call_0() -> None:
    """A request that the SDK makes no span for still shows as an attempt."""
    scene = Scene()
    scene.client().post("/v1/messages", body=ASK, cast_to=httpx2.Response)
    assert scene.ledger.calls == []
    assert list(scene.ledger.attempts_table()["call"]) == [0]

"""Light spans do what the SDK and the ledger ask of a span."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.trace import SpanKind

from labkit.spans import LightEvent, LightProvider, LightSpan


def test_a_span_keeps_what_it_is_told() -> None:
    """Attributes, events and its name can be read from it at its end."""
    seen: list[LightSpan] = []
    tracer = LightProvider(lambda _: None, seen.append).get_tracer("a scope")
    span = tracer.start_span("call", kind=SpanKind.CLIENT, attributes={"a": 1})
    span.set_attribute("b", 2)
    span.set_attributes({"c": 3})
    span.add_event("labkit.retry", {"attempt": 1})
    span.update_name("another")
    span.end()
    assert seen == [span]
    assert (span.name, span.kind) == ("another", SpanKind.CLIENT)
    assert span.attributes == {"a": 1, "b": 2, "c": 3}
    assert span.events == [LightEvent("labkit.retry", {"attempt": 1})]
    assert span.instrumentation_scope.name == "a scope"


def test_a_span_ends_once() -> None:
    """Whoever ends it again changes nothing."""
    seen: list[LightSpan] = []
    span = LightProvider(lambda _: None, seen.append).get_tracer("s").start_span("call")
    assert span.is_recording()
    span.end()
    span.end()
    assert not span.is_recording()
    assert len(seen) == 1


def test_spans_have_valid_identities_of_their_own() -> None:
    """No two spans are mistaken for each other, and other instrumentation accepts them."""
    tracer = LightProvider(lambda _: None, lambda _: None).get_tracer("s")
    contexts = [tracer.start_span("call").get_span_context() for _ in range(1000)]
    assert all(context.is_valid and not context.is_remote for context in contexts)
    assert len({context.span_id for context in contexts}) == 1000


def test_a_span_can_be_the_current_one() -> None:
    """Layers find it where OpenTelemetry keeps the current span."""
    tracer = LightProvider(lambda _: None, lambda _: None).get_tracer("s")
    with tracer.start_as_current_span("call") as span:
        assert trace.get_current_span() is span
    assert not span.is_recording()

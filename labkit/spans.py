"""Light spans: just enough of OpenTelemetry for the ledger, at a fraction of its SDK's cost.

A span of the OpenTelemetry SDK is made for exporters: it cleans every attribute, keeps limits,
finds its resource.  The ledger reads a span once and forgets it.  A program that also exports
its spans uses a provider of its own and adds the ledger to that.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import Attributes, AttributeValue

__all__ = ["LightEvent", "LightProvider", "LightSpan", "LightTracer"]

SAMPLED = TraceFlags(TraceFlags.SAMPLED)


class LightEvent(NamedTuple):
    """Something that happened during a span."""

    name: str
    attributes: Mapping[str, AttributeValue]


class LightSpan(trace.Span):
    """A span that keeps what it is told; `ended` is called once, with the span, at its end."""

    __slots__ = (
        "_ended",
        "attributes",
        "context",
        "events",
        "instrumentation_scope",
        "kind",
        "name",
    )

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        scope: InstrumentationScope,
        ended: Callable[[LightSpan], None],
    ) -> None:
        self.name = name
        self.kind = kind
        self.attributes: dict[str, AttributeValue] = dict(attributes or {})
        self.events: list[LightEvent] = []
        self.instrumentation_scope = scope
        trace_id, span_id = random.getrandbits(127) + 1, random.getrandbits(63) + 1
        self.context = SpanContext(trace_id, span_id, is_remote=False, trace_flags=SAMPLED)
        self._ended: Callable[[LightSpan], None] | None = ended

    def get_span_context(self) -> SpanContext:
        """Return the span's identity."""
        return self.context

    def is_recording(self) -> bool:
        """Say whether the span has not ended yet."""
        return self._ended is not None

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Keep an attribute."""
        self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Keep several attributes."""
        self.attributes.update(attributes)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: Any = None) -> None:  # noqa: ARG002
        """Keep an event; its time is of no use here."""
        self.events.append(LightEvent(name, attributes or {}))

    def update_name(self, name: str) -> None:
        """Change the name."""
        self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Let the status go: the ledger reads `error.type`."""

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Let the exception go: the ledger reads `error.type`."""

    def end(self, end_time: int | None = None) -> None:  # noqa: ARG002
        """End the span; a second time does nothing."""
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self)


class LightTracer(trace.Tracer):
    """Makes light spans for one instrumentation scope."""

    def __init__(
        self,
        scope: InstrumentationScope,
        started: Callable[[LightSpan], None],
        ended: Callable[[LightSpan], None],
    ) -> None:
        self._scope, self._started, self._ended = scope, started, ended

    def start_span(
        self,
        name: str,
        context: Context | None = None,  # noqa: ARG002
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,  # noqa: ARG002
        start_time: int | None = None,  # noqa: ARG002
        record_exception: bool = True,  # noqa: ARG002
        set_status_on_exception: bool = True,  # noqa: ARG002
    ) -> LightSpan:
        """Start a span."""
        span = LightSpan(name, kind, attributes, self._scope, self._ended)
        self._started(span)
        return span

    def start_as_current_span(self, name: str, *args: Any, **options: Any) -> Any:
        """Start a span and make it the current one for a `with` block."""
        return trace.use_span(self.start_span(name, *args, **options), end_on_exit=True)


class LightProvider(trace.TracerProvider):
    """Gives out light tracers; `started` and `ended` are told of every span."""

    def __init__(
        self, started: Callable[[LightSpan], None], ended: Callable[[LightSpan], None]
    ) -> None:
        self._started, self._ended = started, ended

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,  # noqa: ARG002
    ) -> LightTracer:
        """Return a tracer."""
        scope = InstrumentationScope(
            instrumenting_module_name, instrumenting_library_version, schema_url
        )
        return LightTracer(scope, self._started, self._ended)

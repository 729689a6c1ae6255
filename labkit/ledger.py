"""The ledger: OpenTelemetry spans in, a table of calls out, each with tokens, time and cost.

The SDK opens one span for every call, and layers write what they did on it.  The ledger is a
span processor, so the same spans can go to any other OpenTelemetry backend as well:

    ledger = Ledger()
    tracing = {"tracer_provider": ledger.provider, "propagation": False}
    client = Anthropic(open_telemetry=tracing, middleware=[...])
    ...
    ledger.table()

Without propagation the requests bear no trace header: it would tell the API nothing.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind

from labkit.attempts import Attempt, attempt_of
from labkit.calls import Call, call_of, first_chunk
from labkit.clock import Clock, SystemClock
from labkit.frame import frame_of
from labkit.pricing import total
from labkit.spans import LightProvider, LightSpan

if TYPE_CHECKING:
    import pandas as pd

    from labkit.tap import Played

__all__ = ["Ledger"]

SDK_SCOPE = "com.anthropic.sdk.python"
"""The instrumentation scope of the SDK's spans; others' spans are none of our business."""

AT_ONCE = 100
"""Rows are worked out when somebody looks, or so many together: one by one takes twice as long."""


@dataclass(slots=True)
class _Entry:
    """A call under way or ended, with the attempts it has made so far.

    Between its end and its row, `call`, the entry holds the span.
    """

    number: int
    began: float
    attempts: list[Attempt] = field(default_factory=list)
    span: ReadableSpan | LightSpan | None = None
    ended: float = 0.0
    call: Call | None = None


class Ledger(SpanProcessor):
    """Keeps the last `keep` calls, with their attempts; times are read from `clock`.

    `provider` is a light tracer provider of its own, which feeds nobody else.  To export spans
    as well, add the ledger to your own provider: `provider.add_span_processor(ledger)`.
    """

    def __init__(self, clock: Clock | None = None, *, keep: int = 100_000) -> None:
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.provider = LightProvider(self.on_start, self.on_end)
        self._keep = keep
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._under_way: OrderedDict[int, _Entry] = OrderedDict()
        self._ended: OrderedDict[int, _Entry] = OrderedDict()
        self._unwritten: deque[_Entry] = deque()
        self._strays: deque[Attempt] = deque(maxlen=self._keep)
        self._begun = self._unpriced = 0
        self._total = Decimal(0)

    def on_start(self, span: Span | LightSpan, parent_context: Context | None = None) -> None:  # noqa: ARG002
        """Remember when the call began (OpenTelemetry calls this)."""
        scope = span.instrumentation_scope
        if scope is None or not scope.name.startswith(SDK_SCOPE) or span.kind != SpanKind.CLIENT:
            return
        with self._lock:
            self._begun += 1
            entry = _Entry(self._begun, self.clock.now())
            self._under_way[span.get_span_context().span_id] = entry
            _trim(self._under_way, self._keep)

    def on_end(self, span: ReadableSpan | LightSpan) -> None:
        """Enter the call (OpenTelemetry calls this, for a stream once it has been read)."""
        context = span.get_span_context()
        with self._lock:
            entry = self._under_way.pop(context.span_id, None) if context is not None else None
            if context is None or entry is None:  # not the SDK's, or begun before `clear`
                return
            entry.span, entry.ended = span, self.clock.now()
            self._ended[context.span_id] = entry
            _trim(self._ended, self._keep)
            self._unwritten.append(entry)
            if len(self._unwritten) >= AT_ONCE:
                self._write()

    def _write(self) -> None:
        """Work out the rows of the calls that have ended since the last time; needs the lock."""
        costs = []
        while self._unwritten:
            entry = self._unwritten.popleft()
            span, entry.span = entry.span, None
            if span is not None:
                times = entry.began, entry.ended
                entry.call = call_of(span, entry.number, *times, entry.attempts)
                costs.append(entry.call.cost_usd)
        self._unpriced += costs.count(None)
        self._total = total([self._total, *(cost for cost in costs if cost is not None)])

    def observe(self, played: Played) -> None:
        """Enter one attempt (the laboratory's transports call this).

        A stream that its reader closes early ends its span first and its attempt after that.
        """
        attempt = attempt_of(played)
        with self._lock:
            entry = self._under_way.get(attempt.span_id) or self._ended.get(attempt.span_id)
            if entry is not None:
                entry.attempts.append(attempt)
                if entry.call is not None:
                    seconds = first_chunk(entry.began, entry.attempts)
                    entry.call = replace(entry.call, first_chunk_s=seconds)
            elif not attempt.span_id:
                self._strays.append(attempt)

    @property
    def calls(self) -> list[Call]:
        """The calls that have ended, in the order in which they began."""
        with self._lock:
            self._write()
            ended = [entry.call for entry in self._ended.values() if entry.call is not None]
        return sorted(ended, key=lambda call: call.number)

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts that have ended, in the order in which they began."""
        return [attempt for _, attempt in self._numbered()]

    def _numbered(self) -> list[tuple[int, Attempt]]:
        """Return (number of the call, attempt); 0 is for attempts that belong to no call."""
        with self._lock:
            entries = [*self._ended.values(), *self._under_way.values()]
            pairs = [(entry.number, attempt) for entry in entries for attempt in entry.attempts]
            pairs += [(0, attempt) for attempt in self._strays]
        return sorted(pairs, key=lambda pair: (pair[1].start_s, pair[0]))

    def total(self) -> Decimal:
        """Return the dollars of all calls whose cost is known; `unpriced` counts the others.

        Calls count even when there have been so many since that they are not kept any more.
        """
        with self._lock:
            self._write()
            return self._total

    @property
    def unpriced(self) -> int:
        """How many calls have a cost nobody knows, such as one that failed half-way."""
        with self._lock:
            self._write()
            return self._unpriced

    def table(self) -> pd.DataFrame:
        """Return one row a call; `cost_usd` holds exact decimals, None where unknown."""
        return frame_of(self.calls, Call)

    def attempts_table(self) -> pd.DataFrame:
        """Return one row an attempt, as the request timeline wants them."""
        pairs = self._numbered()
        table = frame_of([attempt for _, attempt in pairs], Attempt)
        table.insert(0, "call", [number for number, _ in pairs])
        table.insert(1, "attempt", table.groupby("call").cumcount() + 1)
        return table.drop(columns="span_id")

    def clear(self) -> None:
        """Forget everything, calls under way too, so that the next scene starts with call 1."""
        with self._lock:
            self._forget()


def _trim(entries: OrderedDict[int, _Entry], keep: int) -> None:
    while len(entries) > keep:
        entries.popitem(last=False)

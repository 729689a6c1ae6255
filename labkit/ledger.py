"""The ledger: OpenTelemetry spans in, a table of calls out, each with tokens, time and cost.

The SDK opens one span for every call, and layers write what they did on it.  The ledger is a
span processor, so the same spans can go to any other OpenTelemetry backend as well:

    ledger = Ledger()
    client = Anthropic(open_telemetry={"tracer_provider": ledger.provider}, middleware=[...])
    ...
    ledger.table()
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider

from labkit.calls import Attempt, Call, attempt_of, call_of
from labkit.clock import Clock, SystemClock

if TYPE_CHECKING:
    import pandas as pd

    from labkit.tap import Played

__all__ = ["Ledger"]


class Ledger(SpanProcessor):
    """Keeps the last `keep` calls and attempts; times are read from `clock`."""

    def __init__(self, clock: Clock | None = None, *, keep: int = 100_000) -> None:
        self.clock: Clock = clock if clock is not None else SystemClock()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(self)
        self._began: dict[int, float] = {}
        self._calls: deque[Call] = deque(maxlen=keep)
        self._attempts: deque[Attempt] = deque(maxlen=keep)
        self._numbers: dict[int, int] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002
        """Remember when the call began (OpenTelemetry calls this)."""
        span_id = span.get_span_context().span_id
        self._began[span_id] = self.clock.now()
        self._numbers[span_id] = len(self._numbers) + 1

    def on_end(self, span: ReadableSpan) -> None:
        """Enter the call (OpenTelemetry calls this, for a stream once it has been read)."""
        context = span.get_span_context()
        span_id = context.span_id if context is not None else 0
        began = self._began.pop(span_id, self.clock.now())
        attempts = [each for each in self._attempts if each.span_id == span_id]
        number = self._numbers.get(span_id, 0)
        self._calls.append(call_of(span, number, began, self.clock.now(), attempts))

    def observe(self, played: Played) -> None:
        """Enter one attempt (the laboratory's transports call this)."""
        self._attempts.append(attempt_of(played))

    @property
    def calls(self) -> list[Call]:
        """The calls that have ended, in the order in which they began."""
        return sorted(self._calls, key=lambda call: call.number)

    @property
    def attempts(self) -> list[Attempt]:
        """The attempts that have ended, in the order in which they began."""
        return sorted(self._attempts, key=lambda attempt: attempt.start_s)

    def total(self) -> Decimal:
        """Return the dollars of all calls whose cost is known; `unpriced` counts the others."""
        return sum((call.cost_usd for call in self._calls if call.cost_usd is not None), Decimal(0))

    @property
    def unpriced(self) -> int:
        """How many calls have a cost nobody knows, such as one that failed half-way."""
        return sum(call.cost_usd is None for call in self._calls)

    def table(self) -> pd.DataFrame:
        """Return one row a call; `cost_usd` holds exact decimals, None where unknown."""
        return _frame(self.calls, Call)

    def attempts_table(self) -> pd.DataFrame:
        """Return one row an attempt, as the request timeline wants them."""
        table = _frame(self.attempts, Attempt)
        table.insert(0, "call", [self._numbers.get(span_id, 0) for span_id in table["span_id"]])
        table.insert(1, "attempt", table.groupby("call").cumcount() + 1)
        return table.drop(columns="span_id")

    def clear(self) -> None:
        """Forget everything, so that the next scene starts with call 1."""
        self._calls.clear()
        self._attempts.clear()
        self._numbers.clear()


def _frame(rows: Iterable[object], kind: type) -> pd.DataFrame:
    from dataclasses import fields

    import pandas as pd

    rows = list(rows)
    columns = {}
    for field in fields(kind):  # type: ignore[arg-type]
        whole_number = field.type == "int | None"
        values = [getattr(row, field.name) for row in rows]
        columns[field.name] = pd.Series(values, dtype="Int64" if whole_number else None)
    return pd.DataFrame(columns)

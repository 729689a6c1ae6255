"""From an exchange, or a reply that stands alone, to its rows."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from labkit.errors import UserError
from labkit.recorded.body import read_body
from labkit.recorded.call import RecordedCall
from labkit.recorded.exchange import Exchange
from labkit.recorded.priced import priced
from labkit.recorded.shapes import kind_of, note_on, printable
from labkit.recorded.stream import Streamed

__all__ = ["CUT", "rows_of_exchange", "rows_of_value"]

UNBILLED = ("errored", "canceled", "expired")
OTHER_SELLERS = ("amazonaws.com", "googleapis.com", "azure.com")
CUT = "the stream ends before its final usage, the tokens are those of its start"


def rows_of_exchange(exchange: Exchange, file: str, number: int) -> list[RecordedCall]:
    """Make the rows of one exchange: one, or one for each line of batch results."""
    model = exchange.request.get("model")
    base = RecordedCall(
        file=file,
        exchange=number,
        kind="other" if (exchange.status or 200) < 400 else "error",
        model=printable(model) if isinstance(model, str) else None,
        status=exchange.status,
        latency_s=_latency(exchange.headers),
        request=exchange.request,
    )
    try:
        values = read_body(exchange.body).values
    except UserError as error:
        return [replace(base, note=f"the body cannot be read: {error}")]
    resold = exchange.host.endswith(OTHER_SELLERS)
    doubt = f"{exchange.host} sells at its own prices" if resold else None
    rows = [row for value in values for row in rows_of_value(value, base, doubt)]
    return rows or [replace(base, note=_no_reply(exchange))]


def rows_of_value(
    value: object, base: RecordedCall, doubt: str | None = None
) -> Iterator[RecordedCall]:
    """Make the rows of one value: a reply or the end of a stream; none if it is foreign."""
    if isinstance(value, Streamed):
        yield _of_stream(value, base, doubt)
    elif isinstance(value, Mapping):
        kind = kind_of(value)
        if kind == "message":
            yield priced(replace(base, kind=kind), value, doubt)
        elif kind == "batch_result":
            yield _of_batch_result(value["result"], replace(base, kind=kind), doubt)
        elif kind:
            free = Decimal(0) if kind == "count_tokens" else None
            yield replace(base, kind=kind, cost_usd=free, note=note_on(kind, value))


def _of_stream(stream: Streamed, base: RecordedCall, doubt: str | None) -> RecordedCall:
    base = replace(base, stream=True)
    error = note_on("error", stream.error) if stream.error is not None else None
    if stream.message is None:
        return replace(base, kind="error", note=error or "the stream holds no message")
    if error:
        doubt = f"the stream broke off with {error}"
    elif not stream.final:
        doubt = CUT
    return priced(replace(base, kind="message"), stream.message, doubt)


def _of_batch_result(
    result: Mapping[str, object], base: RecordedCall, doubt: str | None
) -> RecordedCall:
    message = result.get("message")
    if result.get("type") == "succeeded" and isinstance(message, Mapping):
        return priced(base, message, doubt)
    error = result.get("error")
    said = f" ({note_on('error', error)})" if isinstance(error, Mapping) else ""
    if result.get("type") not in UNBILLED:
        return replace(base, note=printable(f"a result of unknown type {result.get('type')}"))
    note = printable(f"{result['type']}{said}: not billed")
    return replace(base, cost_usd=Decimal(0), note=note)


def _no_reply(exchange: Exchange) -> str:
    if exchange.status is not None and exchange.status >= 400:
        return f"HTTP {exchange.status} without an error object"
    asked = printable(f"{exchange.method or 'a call'} {exchange.path or 'somewhere'}", 100)
    return f"{asked}: not a reply of the Messages API, so nothing to price"


def _latency(headers: Mapping[str, str]) -> float | None:
    """Read the service's own time in seconds: the proxy's header, else `server-timing`."""
    sent = headers.get("x-envoy-upstream-service-time")
    if sent is None:
        timing = re.search(r";\s*dur=([0-9.]+)", headers.get("server-timing", ""))
        sent = timing.group(1) if timing else ""
    try:
        milliseconds = float(sent)
    except ValueError:
        return None
    return round(milliseconds / 1000, 6) if 0 <= milliseconds < math.inf else None

"""What came of an attempt, as one kind of value: a response, an exception, or a broken stream.

The SDK reports an HTTP error as a response, a lost connection as an exception, and an
overload in mid-stream as an event inside a 200.  A layer must treat them alike, so each
becomes an `Outcome`, and one place decides what is transient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, TypeAlias

from msgspec import Struct, field

from labkit.records import Record

__all__ = ["Meter", "Outcome", "Used", "retry_after_seconds"]

TRANSIENT_STATUSES = frozenset({408, 409, 500, 501, 502, 503, 504, 529})
TRANSIENT_TYPES = frozenset({"overloaded_error", "api_error", "timeout_error"})
SPEND_LIMITS = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"})


class Used(Record, frozen=True):
    """Tokens that an answer used, as its `usage` says; `input_tokens` are the uncached ones.

    `usage` is the whole of what the API says, where it is known: a price needs it.
    """

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int = 0
    cache_written_tokens: int = 0
    usage: Mapping[str, Any] | None = None

    @property
    def counted_input_tokens(self) -> int:
        """What counts against the input limit: reads from the prompt cache do not.

        Of all models only Haiku 3.5, retired, counted them (claude-api.md 2.1).
        """
        return self.input_tokens + self.cache_written_tokens


Meter: TypeAlias = Used | Callable[[Callable[[Used], object]], object]
"""What an answer used; or, while it is not known, what will tell whoever asks as soon as it is."""


class Outcome(Struct):
    """One attempt's end.

    `status` is the HTTP status, None when no response arrived; `error` the exception to raise
    if this outcome is final; `error_type` and `error_code` what the API's error body (or the
    error event of a stream) says; `unreachable` that the connection failed, timed out or was
    cut before the first content; `value` what the driver hands back to the SDK; `meter` knows what
    the answer used.  `ok` says that this is an answer: status 2xx, and no error raised or found in
    the stream.  A plain body that is no JSON is `ok` too: the SDK parses it after the last layer,
    and its reader gets a `json.JSONDecodeError`.
    """

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    error_type: str | None = None
    error_code: str | None = None
    error: Exception | None = None
    unreachable: bool = False
    value: Any = None
    meter: Meter | None = None
    ok: bool = False

    def __post_init__(self) -> None:
        # Every layer asks, so it is worked out once, whatever was given for it.
        status = self.status
        fine = status is not None and 200 <= status < 300
        self.ok = fine and self.error is None and self.error_type is None

    def when_used(self, tell: Callable[..., object], *about: Any) -> None:
        """Call `tell(*about, used)` with what was used: now, at the end of the stream, or never."""
        meter = self.meter
        if isinstance(meter, Used):
            tell(*about, meter)
        elif callable(meter):
            meter(partial(tell, *about))

    @property
    def retry_after(self) -> float | None:
        """Seconds the server asks to wait, None when it does not say.

        The real API also sends `retry-after` on some 200 answers, where it means nothing: not
        even when the stream that follows fails.
        """
        return None if self.ok or self.status == 200 else retry_after_seconds(self.headers)

    @property
    def transient(self) -> bool:
        """Whether the same request may succeed a little later.

        Connection failures, 408, 409, 500 to 504, 529, an overload inside a stream, and a 429
        that says when to come back, were it "0".  Never a spend limit, never a request that is
        wrong, never a refusal of ours.  The server's own `x-should-retry` decides where it is sent
        (claude-api.md 9.2; resilience.md 2.1, check 4).
        """
        if self.ok or self.error_code in SPEND_LIMITS:
            return False
        if self.unreachable:
            return True
        advice = self.headers.get("x-should-retry")
        if advice in ("true", "false"):
            return advice == "true"
        if self.status == 429:
            return "retry-after" in self.headers or "retry-after-ms" in self.headers
        if self.status == 200:
            return self.error_type in TRANSIENT_TYPES
        return self.status in TRANSIENT_STATUSES

    @property
    def reason(self) -> str:
        """The end in a word or two: "ok", "529 overloaded_error", "APITimeoutError", ..."""
        if self.ok:
            return "ok"
        if self.status is None:
            return type(self.error).__name__ if self.error is not None else "no response"
        return f"{self.status} {self.error_type}" if self.error_type else str(self.status)


def retry_after_seconds(headers: Mapping[str, str], *, today: float | None = None) -> float | None:
    """Read `retry-after-ms` or `retry-after` (seconds or an HTTP date) as seconds, None if absent.

    Zero, negative and unreadable values count as absent, as in the SDK (claude-api.md 9.2).
    A date is turned into seconds against the response's own `date` header, or against `today`
    (seconds since 1970) where there is none: no local clock is consulted.
    """
    milliseconds = headers.get("retry-after-ms")
    if milliseconds is not None and (value := _number(milliseconds)) is not None:
        return value / 1000 if value > 0 else None
    text = headers.get("retry-after")
    if text is None:
        return None
    value = _number(text)
    if value is None:
        then, sent = _date(text), _date(headers.get("date", ""))
        sent = today if sent is None else sent
        value = None if then is None or sent is None else then - sent
    return value if value is not None and value > 0 else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None


def _date(text: str) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # an HTTP date is in GMT even where it does not say so
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (TypeError, ValueError, OverflowError):
        return None

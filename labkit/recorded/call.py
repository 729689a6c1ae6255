"""One recorded call as a row: the API's own usage names, plus where it stood and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from decimal import Decimal

__all__ = ["COLUMNS", "RecordedCall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One call read from a file; None is "not recorded", "not established" or "no such thing".

    `exchange` counts from 1 within the file; `kind` is message, count_tokens, batch,
    batch_result, models, complete, error or other.  Token counts carry the API's names, the
    nested ones their own last part, and are None where the reply has no usage (an answer of
    count_tokens is no usage: it is told in the note).  `extra_input_tokens` (the whole prompt)
    and `extra_output_tokens` belong to compaction and advisor sub-calls, which the top-level
    numbers leave out.  `latency_s` is the service's own time in seconds, for a stream up to its
    headers.  `cost_usd` is at the catalogue's list prices; `note` says why there is none.
    `request` is the body that was sent, empty where none was recorded: no column.
    """

    file: str
    exchange: int
    kind: str
    model: str | None = None
    status: int | None = None
    stop_reason: str | None = None
    stream: bool = False
    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens: int | None = None
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None
    thinking_tokens: int | None = None
    web_search_requests: int | None = None
    web_fetch_requests: int | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    extra_input_tokens: int | None = None
    extra_output_tokens: int | None = None
    latency_s: float | None = None
    cost_usd: Decimal | None = None
    note: str | None = None
    request: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)

    @property
    def used_tokens(self) -> bool:
        """Whether the reply reported usage, so that it should have a price."""
        return self.input_tokens is not None


COLUMNS = tuple(each.name for each in fields(RecordedCall) if each.name != "request")
"""The names of the columns, in the order they are written."""

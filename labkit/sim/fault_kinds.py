"""Every kind of fault there is, and what it does to a plain answer and to a stream.

    kind                 a plain answer                      a stream
    rate_limited         429                                 429
    ramp_limited         429 with ramp_limit_exceeded        the same
    spend_limit          429 with enforced_spend_limit_...   the same
    internal             500                                 500
    unavailable          503 in plain text                   503 in plain text
    gateway_timeout      504                                 504
    overloaded           529                                 529
    refused              no connection                       no connection
    reset                breaks before the first byte        breaks before the first byte
    silence              nothing ever comes                  nothing ever comes
    slow                 `factor` times later                `factor` times slower
    drip                 16 bytes every `every` seconds      the same
    ping_only            comes `lasts` seconds later         pings for `lasts` seconds, goes on
    cut                  breaks half-way                     breaks after `after` events
    stream_error         529                                 an error event after `after` events
    no_message_stop      as it should be                     ends after `after` events, 0: the last
                                                             one alone is missing
    malformed_json       JSON that ends too early            the event after `after` is broken JSON
    wrong_length         fewer bytes come than announced     the same
    refusal              stop_reason refusal after `after` tokens
    empty                no content, and stop_reason end_turn all the same
    out_of_tokens        stop_reason max_tokens after `after` tokens, 0: half of the answer
    pause_turn           stop_reason pause_turn
    batch_row_errored    a `share` of the rows of each batch
    batch_row_expired    a `share` of the rows of each batch
    batch_not_found_yet  a batch is a 404 for `lasts` seconds after its creation, usually 10

Statuses, types and messages are those of real recordings (claude-api.md 3.1), but for the
words of a ramp limit, which are not established.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["ANSWERS", "BATCH_FAULTS", "CODES", "FAULTS", "SPEND_LIMIT", "STOPS", "UNSERVED"]

ANSWERS: Mapping[str, tuple[int, str, str]] = MappingProxyType(
    {
        "rate_limited": (429, "rate_limit_error", "This request would exceed your rate limit."),
        "ramp_limited": (429, "rate_limit_error", "Your usage is growing too fast."),
        "spend_limit": (429, "rate_limit_error", "You have reached your monthly spend limit."),
        "internal": (500, "api_error", "Internal server error"),
        "gateway_timeout": (504, "timeout_error", "Processing timed out."),
        "overloaded": (529, "overloaded_error", "Overloaded"),
    }
)
"""Faults that are answered: kind to status, error type and message."""

UNSERVED = (*ANSWERS, "refused", "unavailable")
"""Faults after which no model has seen the request."""

SPEND_LIMIT = "enforced_spend_limit_reached"
CODES: Mapping[str, str] = MappingProxyType(
    {"ramp_limited": "ramp_limit_exceeded", "spend_limit": SPEND_LIMIT}
)
"""The error codes of those that have one."""

STOPS: Mapping[str, str] = MappingProxyType(
    {
        "refusal": "refusal",
        "empty": "end_turn",
        "out_of_tokens": "max_tokens",
        "pause_turn": "pause_turn",
    }
)
"""Faults of what is said, over a sound wire: kind to stop reason."""

BATCH_FAULTS = ("batch_row_errored", "batch_row_expired", "batch_not_found_yet")
BREAKAGES = (
    *("refused", "reset", "silence", "slow", "drip", "ping_only", "cut", "stream_error"),
    *("no_message_stop", "malformed_json", "wrong_length", "unavailable"),
)
FAULTS = tuple(sorted([*ANSWERS, *STOPS, *BATCH_FAULTS, *BREAKAGES]))

"""A message's tokens and cost, or the reason why its cost is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from labkit.errors import UnknownModel, UnknownPrice, UserError
from labkit.pricing import cost
from labkit.recorded.call import RecordedCall
from labkit.recorded.shapes import printable
from labkit.usage import Usage

__all__ = ["priced"]


def priced(base: RecordedCall, message: Mapping[str, object], doubt: str | None) -> RecordedCall:
    """Fill a row from a message.

    `doubt` says why the reported usage cannot be priced although it can be shown, None when it
    can.  Results of a batch cost half whether or not they name their tier.
    """
    model, stop_reason = message.get("model"), message.get("stop_reason")
    row = replace(
        base,
        model=printable(model) if isinstance(model, str) else base.model,
        stop_reason=printable(stop_reason) if isinstance(stop_reason, str) else None,
    )
    try:
        usage = Usage.from_api(message.get("usage"))
    except UserError as error:
        return replace(row, note=printable(str(error)))
    if base.kind == "batch_result":
        usage = replace(usage, service_tier="batch")
    if row.stop_reason == "refusal" and message.get("content") == []:
        free = "refused before any output, so not billed"
        return replace(_with_tokens(row, usage), cost_usd=Decimal(0), note=free)
    return _with_cost(_with_tokens(row, usage), usage, doubt)


def _with_tokens(row: RecordedCall, usage: Usage) -> RecordedCall:
    split_known = not usage.cache_split_assumed
    return replace(
        row,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        cache_creation_input_tokens=usage.cache_creation_input_tokens,
        ephemeral_5m_input_tokens=usage.cache_creation_5m if split_known else None,
        ephemeral_1h_input_tokens=usage.cache_creation_1h if split_known else None,
        thinking_tokens=usage.thinking_tokens,
        web_search_requests=usage.web_search_requests,
        web_fetch_requests=usage.web_fetch_requests,
        service_tier=_shown(usage.service_tier),
        inference_geo=_shown(usage.inference_geo),
        speed=_shown(usage.speed),
        extra_input_tokens=sum(extra.usage.prompt_tokens for extra in usage.extras),
        extra_output_tokens=sum(extra.usage.output_tokens for extra in usage.extras),
    )


def _shown(text: str | None) -> str | None:
    return None if text is None else printable(text)


def _with_cost(row: RecordedCall, usage: Usage, doubt: str | None) -> RecordedCall:
    notes = [_extras(usage)] if usage.extras else []
    if usage.cache_split_assumed:
        notes.append("cache writes of unrecorded lifetime, priced as five minutes")
    money = None
    if doubt:
        notes.append(f"price unknown: {doubt}")
    elif row.model is None:
        notes.append("price unknown: no model is named")
    else:
        try:
            money = cost(row.model, usage)
        except (UnknownModel, UnknownPrice) as error:
            notes.append(f"price unknown: {error}")
    return replace(row, cost_usd=money, note=printable("; ".join(notes), 300) or None)


def _extras(usage: Usage) -> str:
    """Name the sub-calls billed on top of the top-level numbers."""
    parts = [
        f"{extra.kind}{f' by {extra.model}' if extra.model else ''} "
        f"{extra.usage.prompt_tokens:,} in, {extra.usage.output_tokens:,} out"
        for extra in usage.extras
    ]
    return "on top: " + ", ".join(parts)

"""A recorded call's usage, put together again from its row, so that it can be priced otherwise."""

from __future__ import annotations

from labkit.recorded.call import RecordedCall
from labkit.usage import Usage

__all__ = ["usage_of"]


def usage_of(call: RecordedCall) -> Usage | None:
    """Return what a call used, None where its row does not say it all.

    That is so for calls without a price, and for those with sub-calls, whose counts a row holds
    only in sum.  Of what costs nothing, such as a refusal, there is nothing to price otherwise.
    """
    if not call.cost_usd or call.input_tokens is None or call.output_tokens is None:
        return None
    if call.extra_input_tokens or call.extra_output_tokens:
        return None
    written = call.cache_creation_input_tokens or 0
    hour = call.ephemeral_1h_input_tokens or 0
    return Usage(
        input_tokens=call.input_tokens,
        output_tokens=call.output_tokens,
        cache_read_input_tokens=call.cache_read_input_tokens or 0,
        cache_creation_5m=written - hour,
        cache_creation_1h=hour,
        thinking_tokens=call.thinking_tokens,
        web_search_requests=call.web_search_requests or 0,
        service_tier=call.service_tier,
        speed=call.speed,
        inference_geo=call.inference_geo,
    )

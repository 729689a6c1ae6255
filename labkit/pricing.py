"""What a request costs, exactly, in US dollars at the catalogue's list prices.

Every figure is a `Decimal` and nothing is rounded.  What the published rules leave open is
decided here:

- A compaction is an extra request to the same model, an advisor's turn one to the model it
  names: both come on top of the top-level numbers, each with its own prompt length, with the
  request's service tier and region.  An advisor runs at standard speed, as no fast one is known.
- The long-prompt step looks at the request's top-level prompt as reported, also when a server
  tool made the API read several shorter prompts one after the other: only their sum is certain.
- A model that offers no choice of region costs the same whatever name its region bears.
- Halving for a batch and the US-only surcharge touch tokens; a web search keeps its fee.
- Tokens of the priority tier are paid by commitment, so they have no price here.
- Web fetches and code execution add nothing: the first is free but for its tokens, container
  hours are not part of `usage`.

The price is today's, whatever the day of the request.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation, localcontext

from labkit import catalog
from labkit.catalog import Model, Price
from labkit.errors import UnknownPrice
from labkit.usage import SubUsage, Usage

__all__ = ["Usage", "cost", "total"]

BATCH_SHARE = Decimal("0.5")
US_ONLY_FACTOR = Decimal("1.1")
WEB_SEARCH_FEE = Decimal("0.01")
PER_TOKEN = -6
"""Prices are per million tokens: the decimal point moves six places."""

ANYWHERE = (None, "global", "not_available")


def cost(model: str | Model, usage: Usage) -> Decimal:
    """Price one request, sub-calls included, in US dollars, exact and unrounded.

    Raises `UnknownModel` for a name the catalogue lacks and `UnknownPrice`, saying why, where
    no price is established.  It never answers zero for either.

    >>> cost("claude-haiku-4-5", Usage(input_tokens=1000, output_tokens=200)) == Decimal("0.002")
    True
    """
    row = catalog.model(model) if isinstance(model, str) else model
    if usage.unpriceable:
        raise UnknownPrice(f"Not established: {usage.unpriceable}.")
    with localcontext(_exact()):
        tokens = _tokens(row, usage).scaleb(PER_TOKEN) * _tier(usage) * _region(row, usage)
        searches = WEB_SEARCH_FEE * usage.web_search_requests
        return sum((_extra(row, extra) for extra in usage.extras), tokens + searches)


def total(costs: Iterable[Decimal]) -> Decimal:
    """Add costs up without rounding."""
    with localcontext(_exact()):
        return sum(costs, Decimal(0))


def _exact() -> Context:
    """Arithmetic that would rather fail than round."""
    return Context(prec=100, traps=[Inexact, InvalidOperation])


def _extra(row: Model, extra: SubUsage) -> Decimal:
    return cost(row if extra.model is None else extra.model, extra.usage)


def _tokens(row: Model, usage: Usage) -> Decimal:
    price = _price(row, usage)
    return (
        price.input * usage.input_tokens
        + price.cache_write_5m * usage.cache_creation_5m
        + price.cache_write_1h * usage.cache_creation_1h
        + price.cache_read * usage.cache_read_input_tokens
        + price.output * usage.output_tokens
    )


def _price(row: Model, usage: Usage) -> Price:
    if usage.speed not in (None, "standard", "fast"):
        raise UnknownPrice(f"The catalogue has no price for the speed {usage.speed!r}.")
    fast = usage.speed == "fast"
    if fast and usage.service_tier == "batch":
        raise UnknownPrice("Batches have no fast mode, so this has no price.")
    return row.price_for(usage.prompt_tokens, fast=fast)


def _tier(usage: Usage) -> Decimal:
    if usage.service_tier == "batch":
        return BATCH_SHARE
    if usage.service_tier in (None, "standard"):
        return Decimal(1)
    raise UnknownPrice(f"Tokens of the {usage.service_tier!r} tier have no price per token.")


def _region(row: Model, usage: Usage) -> Decimal:
    offers_choice, region = row.us_only_inference, usage.inference_geo
    if region in ANYWHERE or (not offers_choice and region != "us"):
        return Decimal(1)
    if region == "us" and offers_choice:
        return US_ONLY_FACTOR
    raise UnknownPrice(f"Inference of {row.id} in {region!r} has no known price.")

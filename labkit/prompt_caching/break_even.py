"""Break-even of a prompt-cache write: how often it must be read before it has paid for itself.

A write costs 1.25 times the input price for five minutes and 2 times for an hour; a read costs a
tenth, a twentieth or a fortieth of it, depending on the model (claude-api.md 1.2).
"""

from __future__ import annotations

from decimal import Decimal
from math import ceil
from typing import Literal, TypeAlias

from labkit import catalog
from labkit.catalog import Price

__all__ = ["Lifetime", "break_even_reads", "prompt_cost"]

Lifetime: TypeAlias = Literal["5m", "1h"]


def break_even_reads(model: str, lifetime: Lifetime = "5m", *, prompt_tokens: int = 0) -> int:
    """Return after how many reads a write is no dearer than sending the prefix in full each time.

    `prompt_tokens` matters where long prompts have a price of their own.  Raises `UnknownModel`
    and `UnknownPrice`.
    """
    price = catalog.model(model).price_for(prompt_tokens)
    return ceil((_write(price, lifetime) - price.input) / (price.input - price.cache_read))


def prompt_cost(model: str, tokens: int, reads: int, lifetime: Lifetime | None = "5m") -> Decimal:
    """Return the dollars for a prefix that is sent 1 + `reads` times, None: without a prompt cache.

    Every read comes within the lifetime of the one before.
    """
    price = catalog.model(model).price_for(tokens)
    if lifetime is None:
        return price.input * tokens * (1 + reads) / 1_000_000
    return (_write(price, lifetime) + price.cache_read * reads) * tokens / 1_000_000


def _write(price: Price, lifetime: Lifetime) -> Decimal:
    return price.cache_write_1h if lifetime == "1h" else price.cache_write_5m

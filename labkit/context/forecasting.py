"""What a cut is expected to cost and to save, at the catalogue's prices.

The prompt cache turns trimming upside down: a long prompt that is read from it may be cheaper
than a short one that was just changed and has to be written again.  A forecast adds up the
prompts of the next requests, cut now or left alone.  Answers cost the same either way and are
left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from labkit import catalog
from labkit.catalog import Model
from labkit.errors import UnknownModel, UnknownPrice

__all__ = ["Forecast", "Size", "forecast"]


class Size(NamedTuple):
    """How large the next prompt is, in estimated tokens, and how it grows.

    `turns` are the exchanges in it and `growth` the tokens a request adds.  `new` of its tokens
    have not been sent before in this form: the prompt cache cannot know them.
    """

    tokens: int
    turns: int = 0
    growth: float = 0.0
    new: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """The prompts of the next `requests` requests: left alone, and cut now.

    Costs are US dollars, shares the part of all prompt tokens that the prompt cache serves.
    """

    requests: int
    cost_before: Decimal
    cost_after: Decimal
    read_share_before: float
    read_share_after: float

    @property
    def pays(self) -> bool:
        """Whether the cut costs less than it saves."""
        return self.cost_after < self.cost_before

    def __str__(self) -> str:
        """Say it in a sentence."""
        return (
            f"the next {self.requests} prompts cost ${self.cost_before:.4f} uncut "
            f"({self.read_share_before:.0%} read from the prompt cache) "
            f"and ${self.cost_after:.4f} cut ({self.read_share_after:.0%})"
        )


def forecast(
    model: str | Model, before: Size, after: Size, *, requests: int = 20, cached: bool = True
) -> Forecast | None:
    """Compare a conversation left alone with one cut now; None where no price is known.

    `cached` says whether the requests use the prompt cache, with a breakpoint at their end.
    Requests are taken to follow each other within the lifetime of its entries.
    """
    try:
        row = catalog.model(model) if isinstance(model, str) else model
        left, left_share = _prompts(row, before, requests, cached)
        cut, cut_share = _prompts(row, after, requests, cached)
    except (UnknownModel, UnknownPrice):
        return None
    return Forecast(requests, left, cut, left_share, cut_share)


def _prompts(row: Model, size: Size, requests: int, cached: bool) -> tuple[Decimal, float]:
    """Return the cost of so many prompts, and the share of them read from the prompt cache."""
    spent, read_tokens, all_tokens = Decimal(0), 0, 0
    new = size.new
    for number in range(requests):
        tokens = size.tokens + round(number * size.growth)
        price = row.price_for(tokens)
        if cached and tokens >= (row.min_cacheable or 0):
            spent += price.cache_write_5m * new + price.cache_read * (tokens - new)
            read_tokens += tokens - new
        else:
            spent += price.input * tokens
        all_tokens += tokens
        new = round(size.growth)
    return spent / 1_000_000, read_tokens / all_tokens if all_tokens else 0.0

"""What a model is, costs and allows: the shape of one row of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from labkit.errors import UnknownPrice

__all__ = ["Lifecycle", "Model", "Price", "PriceStep"]

Lifecycle = Literal["active", "deprecated", "retired"]


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens, one figure for each way a token is billed."""

    input: Decimal
    cache_write_5m: Decimal
    cache_write_1h: Decimal
    cache_read: Decimal
    output: Decimal


@dataclass(frozen=True, slots=True)
class PriceStep:
    """A second price for long prompts.

    It holds for every token of a request, output included, whose whole prompt (uncached,
    cache reads and cache writes together) is longer than `above` tokens.
    """

    above: int
    price: Price


@dataclass(frozen=True, slots=True)
class Model:
    """One model as the Claude API sells it.  None means "not established", never zero or no.

    `id` is the shortest name the API takes and `aliases` the others, dated forms among them.
    `context_window` and `max_output` are in tokens.  `tokenizer` is "new" from Claude 4.7 on:
    the same text is about 30 % more tokens there, so counts do not carry over.
    `min_cacheable` is the shortest prefix, in tokens, that the prompt cache keeps.
    `price` is the list price of the Claude API (other clouds set their own), read from
    `price_source` on `price_checked`; for a retired model it is the last one known.
    `fast_price` is that of `speed: "fast"`.  `retires` is the day of retirement, announced (the
    model is then deprecated) or past; `retires_not_before` is only a promise.
    """

    id: str
    aliases: tuple[str, ...]
    line: str
    released: date | None
    context_window: int | None
    max_output: int | None
    tokenizer: Literal["old", "new"] | None
    min_cacheable: int | None
    price: Price | None
    price_source: str | None
    price_checked: date | None
    step: PriceStep | None
    fast_price: Price | None
    us_only_inference: bool
    retires: date | None
    retires_not_before: date | None

    @property
    def names(self) -> tuple[str, ...]:
        """Every name the model answers to, its id first."""
        return (self.id, *self.aliases)

    def lifecycle(self, today: date) -> Lifecycle:
        """Say what the API calls the model's state on a day (a legacy model is still active)."""
        if self.retires is not None and today >= self.retires:
            return "retired"
        return "active" if self.retires is None else "deprecated"

    def price_for(self, prompt_tokens: int, *, fast: bool = False) -> Price:
        """Give the price of a request whose whole prompt has this many tokens.

        Raises `UnknownPrice` where none is established.
        """
        if fast:
            if self.fast_price is None:
                raise UnknownPrice(f"The catalogue has no fast-mode price for {self.id}.")
            return self.fast_price
        if self.price is None:
            raise UnknownPrice(f"No price of {self.id} is established.")
        if self.step is not None and prompt_tokens > self.step.above:
            return self.step.price
        return self.price

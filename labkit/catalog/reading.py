"""From the catalogue's text to its rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Literal

from labkit.catalog import table
from labkit.catalog.model import Model, Price, PriceStep

__all__ = ["read_models"]


def read_models() -> Iterator[Model]:
    """Read every row of the table, in its order."""
    prices = {row["price"]: row for row in _rows(table.PRICES)}
    for row in _rows(table.MODELS):
        yield _model(row, prices)


def _rows(text: str) -> Iterator[dict[str, str]]:
    header, *lines = text.strip().splitlines()
    for line in lines:
        yield dict(zip(header.split(), line.split(), strict=True))


def _pairs(text: str) -> list[tuple[str, str]]:
    halves = [line.split(maxsplit=1) for line in text.strip().splitlines()]
    return [(first, second) for first, second in halves]


def _model(row: dict[str, str], prices: dict[str, dict[str, str]]) -> Model:
    price = prices.get(row["price"])
    fast = prices.get(f"{row['price']}+fast")
    return Model(
        id=row["id"],
        aliases=tuple(alias for id_, alias in _pairs(table.ALIASES) if id_ == row["id"]),
        line=row["line"],
        released=_day(row["released"]),
        context_window=_tokens(row["window"]),
        max_output=_tokens(row["output"]),
        tokenizer=_words(row["words"]),
        min_cacheable=_tokens(row["least"]),
        price=_price(price) if price else None,
        price_source=dict(_pairs(table.SOURCES))[price["source"]] if price else None,
        price_checked=_day(price["checked"]) if price else None,
        step=_step(row["price"], prices),
        fast_price=_price(fast) if fast else None,
        us_only_inference=row["us"] == "yes",
        retires=_day(row["end"], "!"),
        retires_not_before=_day(row["end"], ">"),
    )


def _price(row: dict[str, str]) -> Price:
    columns = ("input", "write-5m", "write-1h", "read", "output")
    return Price(*(Decimal(row[column]) for column in columns))


def _step(name: str, prices: dict[str, dict[str, str]]) -> PriceStep | None:
    for step_name, row in prices.items():
        base, mark, above = step_name.partition(">")
        if mark and base == name:
            return PriceStep(above=int(above), price=_price(row))
    return None


def _day(text: str, mark: str = "") -> date | None:
    if text == "-" or not text.startswith(mark):
        return None
    return date.fromisoformat(text.removeprefix(mark))


def _tokens(text: str) -> int | None:
    return None if text == "-" else int(text.replace("M", "000k").replace("k", "000"))


def _words(text: str) -> Literal["old", "new"] | None:
    return "old" if text == "old" else "new" if text == "new" else None

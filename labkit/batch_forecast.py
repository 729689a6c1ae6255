"""What a job will cost, before anything is sent: as a batch, and what it would cost live.

List prices of the catalogue; a batch is half of everything (claude-api.md 1 and 6, resilience.md
3.9).  Left out, since nobody can know them: reads of the prompt cache, which are best effort
inside a batch, tool fees, and the rows that will fail, which are free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from labkit.batch_rows import Row, read_row
from labkit.context.estimates import estimate_request
from labkit.money_text import money
from labkit.pricing import BATCH_SHARE, Usage, cost, total

__all__ = ["Forecast", "forecast"]

Count = int | Callable[[Mapping[str, Any]], int]
"""Tokens of a row: the same for all, or a function of its `params`."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The forecast of a job, in tokens and US dollars.

    `dollars` is what the batch costs if answers are as long as expected, `at_most` if every
    answer fills its `max_tokens`; `live_dollars` is `dollars` without the batch.
    """

    rows: int
    input_tokens: int
    output_tokens: int
    dollars: Decimal
    at_most: Decimal
    live_dollars: Decimal

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows, about {self.input_tokens:,} tokens in and "
            f"{self.output_tokens:,} out: {money(self.dollars)} as a batch, at most "
            f"{money(self.at_most, ROUND_CEILING)}; {money(self.live_dollars)} live."
        )


def forecast(
    rows: Iterable[Row],
    *,
    input_tokens: Count = estimate_request,
    output_tokens: Count | None = None,
) -> Forecast:
    """Forecast a job from its rows, one at a time.

    Prompts are estimated, rather too high, unless `input_tokens` is given; `output_tokens` is
    how long answers are expected to be, None for `max_tokens`.  Raises `UserError` for a
    malformed row, `UnknownModel` and `UnknownPrice` where there is no price.
    """
    count, into, out = 0, 0, 0
    live, most = Decimal(0), Decimal(0)
    for count, row in enumerate(rows, 1):
        read_row(count, row)
        params = row["params"]
        prompt, limit = _tokens(input_tokens, params), int(params["max_tokens"])
        answer = limit if output_tokens is None else min(limit, _tokens(output_tokens, params))
        into, out = into + prompt, out + answer
        live = total([live, _dollars(params, prompt, answer)])
        most = total([most, _dollars(params, prompt, limit)])
    return Forecast(count, into, out, live * BATCH_SHARE, most * BATCH_SHARE, live)


def _tokens(count: Count, params: Mapping[str, Any]) -> int:
    return count if isinstance(count, int) else count(params)


def _dollars(params: Mapping[str, Any], prompt: int, answer: int) -> Decimal:
    place = params.get("inference_geo")
    usage = Usage(input_tokens=prompt, output_tokens=answer, inference_geo=place)
    return cost(str(params["model"]), usage)

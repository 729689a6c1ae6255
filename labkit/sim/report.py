"""A cost and latency report of a simulation: how many were answered, how fast, for how much."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from labkit.pricing import Usage, cost, total
from labkit.sim.tables import Simulation

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Report", "report"]

BILLED = [
    *("model", "input_tokens", "cache_read_tokens"),
    *("cache_written_5m", "cache_written_1h", "output_tokens"),
]


@dataclass(frozen=True)
class Report:
    """Figures of a simulation.

    `p50_s` and `p99_s` are those of the answered calls, from the call to its answer, waits
    included; NaN where no call was answered.  `cost_usd` is the list price of every attempt that
    was billed, answered or not.  `endings` counts the calls by how they ended.
    """

    calls: int
    answered: int
    attempts: int
    p50_s: float
    p99_s: float
    cost_usd: Decimal
    endings: dict[str, int]

    @property
    def answered_share(self) -> float:
        """Answered calls as a share of all, 0 for no calls."""
        return self.answered / self.calls if self.calls else 0.0

    def __str__(self) -> str:
        lines = [
            f"{self.calls:,} calls, {self.answered:,} answered ({self.answered_share:.2%}), "
            f"{self.attempts:,} attempts",
            f"latency p50 {self.p50_s:.2f} s, p99 {self.p99_s:.2f} s",
            f"cost ${self.cost_usd:,.2f}",
            *(f"{count:,} x {reason}" for reason, count in self.endings.items()),
        ]
        return "\n".join(lines)


def report(simulation: Simulation) -> Report:
    """Return the figures; raises `UnknownPrice` for a model whose price is not established."""
    calls, attempts = simulation.calls, simulation.attempts
    answered = calls[calls["ok"].astype(bool)]
    latency = answered["end_s"] - answered["start_s"]
    return Report(
        calls=len(calls),
        answered=len(answered),
        attempts=len(attempts),
        p50_s=float(latency.quantile(0.5)),
        p99_s=float(latency.quantile(0.99)),
        cost_usd=_cost(attempts),
        endings=dict(Counter(calls["reason"]).most_common()),
    )


def _cost(attempts: pd.DataFrame) -> Decimal:
    """Price attempt by attempt, since some prices depend on the length of the prompt."""
    return total(
        cost(
            str(model),
            Usage(
                input_tokens=int(fresh),
                cache_read_input_tokens=int(read),
                cache_creation_5m=int(five),
                cache_creation_1h=int(hour),
                output_tokens=int(output),
            ),
        )
        for model, fresh, read, five, hour, output in attempts[BILLED].itertuples(index=False)
    )

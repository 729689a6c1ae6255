"""How long simulated batches take, and what goes wrong with them on purpose."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.sim.problem import ApiError

__all__ = ["BatchPace", "BatchScript"]

INTERNAL = ApiError(500, "api_error", "Internal server error")


@dataclass(frozen=True, slots=True)
class BatchPace:
    """How long a batch takes: a start, then so many rows a second, with a log-normal spread.

    Assumed: two rows took 126 s in the one recording, and most batches end within the hour; at
    these rates half of those of 100,000 rows do so within 44 minutes.
    """

    start_s: float = 120.0
    rows_per_s: float = 40.0
    sigma: float = 0.3


@dataclass(frozen=True, slots=True)
class BatchScript:
    """What goes wrong on purpose.

    `errored` and `expired` are shares of the rows; a batch with rows that expire lasts its full
    24 hours.  `error` is what errored rows report.  For `hidden_s` seconds after its creation a
    batch is a 404, as has been seen on the real API (anthropic-sdk-python issue 1432).
    """

    errored: float = 0.0
    expired: float = 0.0
    error: ApiError = INTERNAL
    hidden_s: float = 0.0

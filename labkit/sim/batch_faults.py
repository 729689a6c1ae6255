"""What a fault timeline means for batches."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.sim.batch_script import BatchScript
from labkit.sim.faults import Fault

__all__ = ["batch_script"]


def batch_script(faults: Iterable[Fault]) -> BatchScript:
    """Return what the batch store is to do: the faults of batches in a timeline.

    Of several faults of a kind the shares add up, and the longest time hidden counts.
    """
    errored, expired, hidden = 0.0, 0.0, 0.0
    for fault in faults:
        if fault.kind == "batch_row_errored":
            errored = min(1.0, errored + fault.share)
        elif fault.kind == "batch_row_expired":
            expired = min(1.0, expired + fault.share)
        elif fault.kind == "batch_not_found_yet":
            hidden = max(hidden, fault.lasts)
    return BatchScript(errored=errored, expired=expired, hidden_s=hidden)

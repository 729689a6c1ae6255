"""The simulated API's own bill: what it charges, whether or not the answer reached anybody.

A bill is made where answers are made, so a client's ledger can be checked against it.  The rules
(claude-api.md 1.2 and 9.2): an answer is charged with everything in its `usage`, also when it is
lost on its way, cut off or given up; an error and a refusal before any output cost nothing.  What
is not established is decided here: a connection that breaks before the first byte (`reset`) has
cost nothing, and an error event in mid-stream leaves the whole answer charged.  Rows of batches
are not on it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from labkit.errors import BenchError
from labkit.pricing import Usage, cost, total
from labkit.sim.reply import Reply

__all__ = ["BillLine", "SimulatedBill"]

MOST_LINES = 100_000


@dataclass(frozen=True, slots=True)
class BillLine:
    """One charged answer: the number of its request, the id of its message, its price in dollars.

    `cost` is None where the catalogue has no price for the model.
    """

    request: int
    message: str
    model: str
    usage: Usage
    cost: Decimal | None


class SimulatedBill:
    """All charges of one simulated organisation; the sums of all, the last 100,000 lines."""

    def __init__(self) -> None:
        self.total = Decimal(0)
        self.unpriced = 0
        self.lines: deque[BillLine] = deque(maxlen=MOST_LINES)

    def charge(self, request: int, message: Mapping[str, Any], reply: Reply) -> None:
        """Charge a message that went out as `reply`, if it costs anything."""
        broken_at_once = reply.ending == "reset" and not reply.chunks
        if not 200 <= reply.status < 300 or broken_at_once or _refused(message):
            return
        usage = Usage.from_api(message["usage"])
        try:
            price: Decimal | None = cost(str(message["model"]), usage)
        except BenchError:
            price = None
        self.lines.append(
            BillLine(request, str(message["id"]), str(message["model"]), usage, price)
        )
        if price is None:
            self.unpriced += 1
        else:
            self.total = total([self.total, price])


def _refused(message: Mapping[str, Any]) -> bool:
    return message["stop_reason"] == "refusal" and not message["usage"]["output_tokens"]

"""One Message Batch: when each of its rows is through, and so what it shows at any time.

Everything follows from the creation, the seed and a cancellation, so a batch needs no clock
and does no work until it is asked.  Rows get through in a shuffled order and evenly spread
over time.  Where a batch is cut short, by a cancellation or after 24 hours, those already
through keep their results and the rest is canceled or expired.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from labkit.sim.batch_script import BatchPace, BatchScript
from labkit.sim.dates import stamp
from labkit.sim.dice import Dice
from labkit.sim.problem import ApiError

__all__ = ["Answer", "Batch"]

DAY = 86_400.0
KEPT_S = 29 * DAY
"""Results are kept this long from creation (claude-api.md 6)."""
CANCEL_S = 10.0
"""Assumed median time from a cancellation to the end."""

Answer = Callable[[Mapping[str, Any], str], Mapping[str, Any]]
"""Makes the message that answers a row, from its `params` and `custom_id`."""


class Batch:
    """A batch of rows `{"custom_id", "params"}`; `check` judges the `params` of one."""

    def __init__(
        self,
        number: int,
        rows: Sequence[Mapping[str, Any]],
        created: float,
        *,
        seed: int,
        pace: BatchPace,
        script: BatchScript,
        check: Callable[[object], ApiError | None],
    ) -> None:
        self.rows = rows
        self.size = len(rows)
        self.created = created
        self.script = script
        self.canceled: float | None = None
        self._check = check
        self._judged = 0
        self._errors: dict[int, ApiError] = {}
        self._name = (seed, number)
        dice = Dice(seed, number, "batch")
        self.id = dice.identifier("msgbatch")
        stretch = dice.lognormal(pace.sigma)
        self._start = created + pace.start_s * stretch
        self._through = self._start + self.size / pace.rows_per_s * stretch
        self._cancel_s = CANCEL_S * dice.lognormal(pace.sigma)
        self._able = self.size - math.ceil(script.expired * self.size)

    @property
    def expires(self) -> float:
        """When it ends at the latest."""
        return self.created + DAY

    @property
    def archived(self) -> float:
        """When its results go."""
        return self.created + KEPT_S

    @property
    def ended(self) -> float:
        """When it ends, as things stand."""
        alone = self._through if self._able == self.size else self.expires
        canceled = math.inf if self.canceled is None else self.canceled + self._cancel_s
        return min(alone, canceled, self.expires)

    def through(self, at: float) -> int:
        """Return how many rows are through at a time."""
        if at >= self._through:
            return self._able
        share = max(0.0, at - self._start) / (self._through - self._start)
        return min(self._able, int(share * self.size))

    def waiting(self, now: float) -> int:
        """Return how many rows are still in the queue."""
        return 0 if now >= self.ended else self.size - self.through(now)

    def status(self, now: float) -> str:
        """Return the `processing_status`."""
        if now >= self.ended:
            return "ended"
        return "in_progress" if self.canceled is None else "canceling"

    def describe(self, now: float, origin: str) -> dict[str, Any]:
        """Return the batch object; its results lie at the caller's own `origin`."""
        ended, archived = now >= self.ended, now >= self.archived
        self._judge(self._done if ended else self.through(min(now, self._cut)))
        url = f"{origin}/v1/messages/batches/{self.id}/results"
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": self.status(now),
            "request_counts": self._counts(ended),
            "ended_at": stamp(self.ended) if ended else None,
            "created_at": stamp(self.created),
            "expires_at": stamp(self.expires),
            "archived_at": stamp(self.archived) if archived else None,
            "cancel_initiated_at": None if self.canceled is None else stamp(self.canceled),
            "results_url": url if ended and not archived else None,
        }

    def results(self, answer: Answer) -> Iterator[bytes]:
        """Return the lines of the results, each made when it is asked for."""
        self._judge(self._done)
        return self._lines(self.rows, answer)

    def _lines(self, rows: Sequence[Mapping[str, Any]], answer: Answer) -> Iterator[bytes]:
        for position, place in enumerate(self._order):
            row = rows[place]
            if position >= self._done:
                result: dict[str, Any] = {"type": self._rest}
            elif place in self._errors:
                error = self._errors[place].body(self._dice(place).identifier("req"))
                result = {"type": "errored", "error": error}
            else:
                message = answer(row["params"], row["custom_id"])
                usage = {**message["usage"], "service_tier": "batch"}
                result = {"type": "succeeded", "message": {**message, "usage": usage}}
            line = {"custom_id": row["custom_id"], "result": result}
            yield json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"

    def forget(self) -> None:
        """Let the rows go once nobody can ask for their results; the counts stay."""
        self._judge(self._done)
        self.rows = ()

    def _counts(self, ended: bool) -> dict[str, int]:
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        if not ended:
            return {**counts, "processing": self.size}
        counts["errored"] = len(self._errors)
        counts["succeeded"] = self._done - len(self._errors)
        counts[self._rest] = self.size - self._done
        return counts

    @property
    def _rest(self) -> str:
        return "expired" if self.canceled is None else "canceled"

    @property
    def _done(self) -> int:
        return self.through(self._cut)

    @property
    def _cut(self) -> float:
        """When the last row gets through."""
        return self.ended if self.canceled is None else self.canceled

    @cached_property
    def _order(self) -> list[int]:
        """Row numbers in the order in which they get through, never that of the request."""
        dice, order = Dice(*self._name, "order"), list(range(self.size))
        for place in range(self.size - 1, 0, -1):
            other = dice.whole(0, place)
            order[place], order[other] = order[other], order[place]
        return order if order != sorted(order) else order[1:] + order[:1]

    def _judge(self, until: int) -> None:
        """Find what is wrong with the rows that got through, a few more each time it is asked."""
        if until <= self._judged:
            return
        for place in self._order[self._judged : until]:
            error = self._check(self.rows[place]["params"])
            if error is None and 0 < self.script.errored > self._dice(place).random():
                error = self.script.error
            if error is not None:
                self._errors[place] = error
        self._judged = until

    def _dice(self, place: int) -> Dice:
        return Dice(*self._name, f"row/{place}")

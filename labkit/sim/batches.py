"""The Message Batches API as a store that is told the time.

Life cycle, limits and shapes of claude-api.md 2.2 and 6 and WIRE-FORMAT.md 2.  Left open there
and decided here: canceling twice is harmless; canceling what has ended, deleting what has not,
and results before the end are a 400; results that have been archived are a 404.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from labkit.sim.batch import Answer, Batch
from labkit.sim.batch_script import BatchPace, BatchScript
from labkit.sim.dates import today
from labkit.sim.limits import Bucket
from labkit.sim.pages import Query, page
from labkit.sim.problem import ApiError, invalid, not_found
from labkit.sim.validation import VERSIONS, batch_complaint, complaint

__all__ = ["BATCH_LIMITS", "BatchLimits", "BatchStore"]

ORIGIN = "https://api.anthropic.com"
USUAL_PACE, NOTHING_WRONG = BatchPace(), BatchScript()


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Calls of the batch endpoints in a minute, and rows that may wait in the queue."""

    requests: int
    queue: int


BATCH_LIMITS: Mapping[str, BatchLimits] = {
    "start": BatchLimits(1_000, 200_000),
    "build": BatchLimits(2_000, 300_000),
    "scale": BatchLimits(4_000, 500_000),
}
"""By tier (claude-api.md 2.2)."""


class BatchStore:
    """All batches of one workspace.

    `answer` makes the message for a row; `seed` decides ids, durations, order and which rows
    `script` strikes; `limits` None lifts the limits.  `origin` is the scheme and host the caller
    came to.  Every method returns what is sent, or the `ApiError` to send instead.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        seed: int = 0,
        pace: BatchPace = USUAL_PACE,
        script: BatchScript = NOTHING_WRONG,
        limits: BatchLimits | None = BATCH_LIMITS["start"],
    ) -> None:
        self.answer = answer
        self.seed = seed
        self.pace = pace
        self.script = script
        self.limits = limits
        self._bucket = Bucket(limits.requests, 0.0) if limits is not None else None
        self._batches: dict[str, Batch] = {}
        self._made = 0

    def admit(self, now: float) -> ApiError | None:
        """Count one call of any batch endpoint; return the 429 if there are too many."""
        if self._bucket is None:
            return None
        self._bucket.refill(now)
        if self._bucket.level >= 1:
            self._bucket.level -= 1
            return None
        message = (
            f"This request would exceed your organization's rate limit of "
            f"{self._bucket.capacity:,} Message Batches API requests per minute."
        )
        wait = max(1, ceil(self._bucket.wait_for(1)))
        return ApiError(429, "rate_limit_error", message, retry_after=wait)

    def create(
        self,
        body: object,
        now: float,
        *,
        version: str = VERSIONS[-1],
        betas: Collection[str] = (),
        origin: str = ORIGIN,
    ) -> dict[str, Any] | ApiError:
        """Take a batch in; its rows are judged later, one by one."""
        problem = batch_complaint(body)
        if problem is not None or not isinstance(body, dict):
            return problem or invalid("Input should be an object")
        rows = body["requests"]
        full = self._full(len(rows), now)
        if full is not None:
            return full

        def check(params: object) -> ApiError | None:
            day = today(now)
            return complaint(params, version=version, today=day, batch=True, betas=betas)

        self._made += 1
        batch = Batch(
            self._made,
            rows,
            now,
            seed=self.seed,
            pace=self.pace,
            script=self.script,
            check=check,
        )
        self._batches[batch.id] = batch
        return batch.describe(now, origin)

    def retrieve(
        self, batch_id: str, now: float, *, origin: str = ORIGIN
    ) -> dict[str, Any] | ApiError:
        """Return the batch object."""
        batch = self._find(batch_id, now)
        return batch if isinstance(batch, ApiError) else batch.describe(now, origin)

    def page(self, query: Query, now: float, *, origin: str = ORIGIN) -> dict[str, Any] | ApiError:
        """Return a page of the batches, newest first."""
        found = page([{"id": name} for name in reversed(self._batches)], query)
        if isinstance(found, ApiError):
            return found
        batches = [self._batches[item["id"]] for item in found["data"]]
        return {**found, "data": [batch.describe(now, origin) for batch in batches]}

    def cancel(
        self, batch_id: str, now: float, *, origin: str = ORIGIN
    ) -> dict[str, Any] | ApiError:
        """Stop a batch; it ends a little later."""
        batch = self._find(batch_id, now)
        if isinstance(batch, ApiError):
            return batch
        if batch.status(now) == "ended":
            return invalid(f"Message batch {batch_id} has ended and cannot be canceled.")
        if batch.canceled is None:
            batch.canceled = now
        return batch.describe(now, origin)

    def delete(self, batch_id: str, now: float) -> dict[str, Any] | ApiError:
        """Remove a batch that has ended, with its results."""
        batch = self._find(batch_id, now)
        if isinstance(batch, ApiError):
            return batch
        if batch.status(now) != "ended":
            return invalid(f"Message batch {batch_id} has not ended; cancel it before deleting it.")
        del self._batches[batch_id]
        return {"id": batch_id, "type": "message_batch_deleted"}

    def results(self, batch_id: str, now: float) -> Iterator[bytes] | ApiError:
        """Return the lines of the results, made one at a time, as `application/x-jsonl`."""
        batch = self._find(batch_id, now)
        if isinstance(batch, ApiError):
            return batch
        if batch.status(now) != "ended":
            return invalid(f"Message batch {batch_id} has not ended and has no results yet.")
        if now >= batch.archived:
            return not_found(f"The results of message batch {batch_id} have been archived.")
        return batch.results(self.answer)

    def _find(self, batch_id: str, now: float) -> Batch | ApiError:
        batch = self._batches.get(batch_id)
        if batch is None or now < batch.created + batch.script.hidden_s:
            return not_found(f"Message batch {batch_id} not found.")
        if now >= batch.archived:
            batch.forget()
        return batch

    def _full(self, rows: int, now: float) -> ApiError | None:
        waiting = sum(batch.waiting(now) for batch in self._batches.values())
        if self.limits is None or waiting + rows <= self.limits.queue:
            return None
        message = (
            f"This batch would exceed your organization's limit of {self.limits.queue:,} "
            f"requests in the batch processing queue; {waiting:,} are waiting."
        )
        return ApiError(429, "rate_limit_error", message)

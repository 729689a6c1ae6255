"""Two lanes under a deadline: a batch at half price while it lasts, then the rest live.

The batch lane is cheap and may take a day; the live lane is dear and takes as long as so many
calls take.  So all rows go out as a batch, and what has no answer at the last moment at which
the live lane can still do it is cancelled and asked live:

    switch = deadline - rows left * seconds_per_row / workers - cancel_s

The more batches come back, the later that moment is.  Money against waiting: a deadline of a day
pays half, one of minutes pays in full, and what lies between pays for what was not ready.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import anthropic

from labkit.batch_parts import finish
from labkit.batch_reading import JobCounts
from labkit.batches import BatchJob
from labkit.errors import LabkitError, UserError

__all__ = ["Lanes", "Routed", "two_lanes"]


@dataclass(frozen=True, slots=True)
class Lanes:
    """What the switch is decided by: seconds from the start, and how fast the live lane is.

    A row takes `seconds_per_row` live, `workers` of them go at once.  `cancel_s` is what a batch
    may take to end once it is cancelled, `worth_s` how long a batch must have to be tried at all:
    most take minutes to an hour (claude-api.md 6).
    """

    deadline_s: float
    seconds_per_row: float = 10.0
    workers: int = 8
    cancel_s: float = 60.0
    worth_s: float = 600.0

    def __post_init__(self) -> None:
        if self.deadline_s <= 0 or self.seconds_per_row <= 0 or self.workers < 1:
            raise UserError("Lanes need a deadline and a time per row above 0, and one worker.")

    def live_s(self, rows: int) -> float:
        """Return how long the live lane takes for so many rows."""
        return rows * self.seconds_per_row / self.workers

    def switch_s(self, rows: int) -> float:
        """Return the last moment at which so many rows can still go from the batch to live.

        >>> Lanes(3600, seconds_per_row=4, workers=8).switch_s(1000)
        3040.0
        """
        return self.deadline_s - self.live_s(rows) - self.cancel_s


@dataclass(frozen=True, slots=True)
class Routed:
    """What became of the rows, and when the lanes were switched (None: never).

    `late` rows had no answer by the deadline and wait in the job.  `perhaps_twice` were asked
    live while their cancelled batch had still not ended, so they may be billed in both lanes.
    """

    batch: int
    live: int
    late: int
    perhaps_twice: int
    switched_s: float | None
    ended_s: float


def two_lanes(job: BatchJob, lanes: Lanes) -> Routed:
    """Get every row of a job answered before the deadline, as cheaply as that allows.

    Raises what `BatchJob.step` raises; Ctrl-C cancels the open batches.  A live call that fails
    is the row's result; retries are the matter of the client's own layers.  Rows that were live
    when the process died are asked again when the job goes on.
    """
    try:
        return _routed(job, lanes, job.clock.now())
    except KeyboardInterrupt:
        job.cancel()
        raise


def _routed(job: BatchJob, lanes: Lanes, began: float) -> Routed:
    switched = _batch_lane(job, lanes, began)
    before = job.counts
    if before.finished:
        return Routed(before.done, 0, 0, 0, None, job.clock.now() - began)
    job.cancel()
    _wait_for_ends(job, lanes, began)
    from_batch, twice = job.counts.done, job.counts.sent
    after = _live_lane(job, lanes, began)
    return Routed(
        batch=from_batch,
        live=after.done - from_batch,
        late=after.rows - after.done,
        perhaps_twice=min(twice, after.done - from_batch),
        switched_s=switched,
        ended_s=job.clock.now() - began,
    )


def _batch_lane(job: BatchJob, lanes: Lanes, began: float) -> float:
    """Run the batches until they are done or the lanes must be switched; return when that was."""
    worth = lanes.switch_s(job.counts.rows) >= lanes.worth_s
    while True:
        passed, left = job.clock.now() - began, _left(job)
        room = lanes.switch_s(left) - passed
        if not left or room <= 0 or not worth:
            return passed
        job.step()
        job.clock.sleep(max(0.0, min(job.poll_s, room)) if _left(job) else 0.0)


def _wait_for_ends(job: BatchJob, lanes: Lanes, began: float) -> None:
    """Wait for the cancelled batches to end, as long as the live lane has time for the rest."""
    while job.counts.open:
        job.step(submit=False)
        left = _left(job)
        room = lanes.deadline_s - lanes.live_s(left) - (job.clock.now() - began)
        if room <= 0 or not left or not job.counts.open:
            return
        job.clock.sleep(min(job.poll_s, room, lanes.cancel_s / 10))


def _live_lane(job: BatchJob, lanes: Lanes, began: float) -> JobCounts:
    """Ask what is left, a few rows at a time, until all are answered or the deadline is here."""
    ask = partial(_asked, job.client)
    with ThreadPoolExecutor(lanes.workers) as pool:
        while job.clock.now() - began < lanes.deadline_s:
            taken = _take(job, 4 * lanes.workers)
            if not taken:
                break
            results = list(pool.map(ask, taken.values()))
            with job.file.transaction() as db:
                for number, result in zip(taken, results, strict=True):
                    finish(db, number, result)
    return job.counts


def _take(job: BatchJob, most: int) -> dict[int, dict[str, Any]]:
    """Take rows for the live lane: those that wait first, then those of batches that go on."""
    with job.file.transaction() as db:
        found = db.execute(
            "SELECT number, params FROM rows WHERE state IN ('waiting', 'sent') "
            "ORDER BY state DESC, number LIMIT ?",
            (most,),
        ).fetchall()
        update = "UPDATE rows SET state = 'live', part = NULL WHERE number = ?"
        db.executemany(update, ((number,) for number, _ in found))
    return {number: json.loads(params) for number, params in found}


def _asked(client: anthropic.Anthropic, params: Mapping[str, Any]) -> dict[str, Any]:
    """Ask one row live; what comes back has the form of a batch's result."""
    try:
        message = client.messages.create(**params)
    except (anthropic.APIError, LabkitError) as error:
        kind = getattr(error, "type", None) or type(error).__name__
        said = {"type": "error", "error": {"type": kind, "message": str(error)}}
        return {"type": "errored", "error": said}
    return {"type": "succeeded", "message": message.to_dict(mode="json")}


def _left(job: BatchJob) -> int:
    counts = job.counts
    return counts.rows - counts.done

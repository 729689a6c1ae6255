"""Message batches as a job that outlives its process: submit, poll, collect, resubmit.

    with BatchJob(client, "reviews.job") as job:
        job.give(rows)              # {"custom_id": ..., "params": {...}}, any iterable
        print(job.forecast())
        job.run()                   # waits, with a bar on a terminal; Ctrl-C cancels
        for result in job.results():
            ...

Started again after whatever happened, the same lines go on where they stopped.  What that rests
on, and exactly what is guaranteed, is said in `labkit.batch_sending`.  An async program runs the
whole block in a thread of its own: `await asyncio.to_thread(...)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from decimal import Decimal
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import anthropic

from labkit.batch_file import JobFile
from labkit.batch_forecast import Forecast, forecast
from labkit.batch_giving import give_name, give_rows
from labkit.batch_parts import Parts
from labkit.batch_progress import progress_bar
from labkit.batch_reading import JobCounts, bill, counts, results, rows, save
from labkit.batch_rows import LARGEST_BATCH, MOST_ROWS, Row
from labkit.batch_sending import Sender, result_lines
from labkit.batch_trouble import Trouble
from labkit.clock import Clock, SystemClock
from labkit.errors import UserError

__all__ = ["BatchJob"]

CHUNK = 500
"""Results that are stored at once."""


class BatchJob:
    """One job: all its rows, the batches they go out in, and their results, in one file.

    `attempts` is how many batches a row is in at most, `most_rows` and `most_bytes` are those of
    one batch: smaller ones than the API's 100,000 rows and 256 MB need less memory, and bring
    results earlier.  `poll_s` lies between two looks at a batch, `settle_s` is how long a lost
    batch is looked for, and trouble with the API that lasts for `patience_s` ends a run.

    `name` begins what rows are called on the wire, `name-part-number` with the number a row has
    in the input; the `custom_id`s given are those of the results.  It is drawn at random when the
    file is made; jobs that run at the same time need different ones.
    """

    def __init__(
        self,
        client: anthropic.Anthropic,
        path: str | Path,
        *,
        name: str | None = None,
        clock: Clock | None = None,
        attempts: int = 3,
        most_rows: int = 10_000,
        most_bytes: int = 32_000_000,
        poll_s: float = 30.0,
        settle_s: float = 60.0,
        patience_s: float = 3600.0,
    ) -> None:
        if attempts < 1 or not 1 <= most_rows <= MOST_ROWS or not 1 <= most_bytes <= LARGEST_BATCH:
            raise UserError("A batch has 1 to 100,000 rows and 256 MB at most, and is tried once.")
        self.client, self.clock = client, clock or SystemClock()
        self.attempts, self.most_rows, self.most_bytes = attempts, most_rows, most_bytes
        self.poll_s = poll_s
        self.file = JobFile(path)
        self.parts = Parts(self.file, give_name(self.file, name))
        self._sender = Sender(client, self.parts, self.clock, settle_s)
        self._trouble = Trouble(self.clock, patience_s)

    def __enter__(self) -> BatchJob:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the job's file; batches under way go on."""
        self.file.close()

    def give(self, rows: Iterable[Row]) -> int:
        """Take all rows in, or none, and return how many there are; nothing is sent yet.

        The same rows may be given again, so that a program can be started again.  Raises
        `UserError` for a malformed row, a repeated `custom_id`, or other rows than before.
        """
        return give_rows(self.file, rows)

    def forecast(self, **tokens: Any) -> Forecast:
        """Forecast what the rows cost; the arguments are those of `batch_forecast.forecast`."""
        return forecast(rows(self.file), **tokens)

    def submit(self) -> int:
        """Send every row that waits; return how many batches that made.

        Batches of which it is not known whether they exist are looked for first.  Raises the
        SDK's exceptions where the API says no, and `Refused` where a layer of the client does;
        then the rows wait.
        """
        for part in self.parts.in_state("sending"):
            self._sender.find(part)
        made = 0
        while self.counts.waiting:
            part = self.parts.take(self.most_rows, self.most_bytes, self._sender.newest())
            if not self._sender.send(part):
                break
            made += 1
        return made

    def poll(self) -> JobCounts:
        """Look at every open batch once; return where the job stands."""
        for part in self.parts.in_state("open"):
            batch = self.client.messages.batches.retrieve(str(part.id))
            if batch.processing_status == "ended":
                self.parts.move(part, "ended")
        return self.counts

    def collect(self) -> int:
        """Download what has ended; return how many rows got a result or wait again.

        Raises `anthropic.APIConnectionError` where a download breaks off; what came is kept.
        """
        collected = 0
        for part in self.parts.in_state("ended"):
            before = self.parts.missing(part)
            with closing(result_lines(self.client.messages.batches, str(part.id))) as lines:
                while chunk := list(islice(lines, CHUNK)):
                    self.parts.settle(part, chunk, self.attempts)
            left = self.parts.missing(part)
            collected += before - left
            if not left:
                self.parts.move(part, "collected")
        return collected

    def run(self, *, progress: bool | None = None) -> JobCounts:
        """Submit, poll, collect and resubmit until every row has its result.

        Ctrl-C cancels the open batches: what was through is billed and kept, the rest is free and
        goes out again if the job is run again.  Outages are waited out; raises the SDK's exception
        where the API says no for good.  `progress` None shows a bar if there is a terminal.
        """
        with progress_bar(self.counts.rows, progress) as tell:
            try:
                while not self.counts.finished:
                    self.step()
                    tell(self.counts.done, self.counts.open)
                    if not self.counts.finished:
                        self.clock.sleep(self.poll_s)
            except KeyboardInterrupt:
                self.cancel()
                raise
        return self.counts

    def step(self, *, submit: bool = True) -> JobCounts:
        """Do once what `run` repeats; passing trouble with the API is left to the next time."""
        self._trouble.bear(self.poll, missing_passes=True)
        self._trouble.bear(self.collect, missing_passes=True)
        if submit:
            self._trouble.bear(self.submit, missing_passes=False)
        return self.counts

    def cancel(self) -> None:
        """Ask for the end of every open batch; rows that were not through wait again."""
        for part in self.parts.in_state("open"):
            self._sender.cancel(part)

    @property
    def counts(self) -> JobCounts:
        """Where the job stands."""
        return counts(self.file)

    def results(self) -> Iterator[dict[str, Any]]:
        """Yield `{"custom_id", "result"}` of every row that is done, in the order of the rows."""
        return results(self.file)

    def save(self, path: str | Path) -> int:
        """Write the results as JSON Lines, the file whole or not at all; return how many."""
        return save(self.file, Path(path))

    def bill(self) -> Decimal:
        """Return what the answers cost so far, in US dollars, from the usage they report."""
        return bill(self.file)

"""Send a part exactly once, also where nobody knows whether the last attempt got through.

The API has no key that makes creating a batch idempotent, and a batch shows the names of its
rows only in its results.  So every part goes through three steps:

1. note in the job's file that it is about to be sent, and which batch is the newest now;
2. create it, once: no retry of the SDK or of a layer may send it again;
3. note its id.

If 3 is missing, because the process died or the answer was lost, the part is uncertain and is
looked for in the list: a batch that is not older than the newest of step 1, has as many rows, is
not known to be ours, and whose results, once it has ended, carry the part's mark.  It is sent
anew only when no batch that could be it has turned up for `settle_s` seconds.

What is guaranteed: no row is sent twice, provided that a batch the API has accepted is in the
list `settle_s` seconds later, and that no other job of the same name runs at the time.  Price of
it: such a part waits for other people's batches of the same size and time to end.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import closing
from datetime import datetime
from typing import Any

import anthropic
import httpx2
from anthropic.types.messages import MessageBatch

from labkit.batch_interrupt import interrupt_held
from labkit.batch_once import NotAgain, Once, may_exist
from labkit.batch_parts import Part, Parts
from labkit.clock import Clock
from labkit.errors import DeadlineExceeded, Refused

__all__ = ["Sender", "result_lines"]

PAGE = 100
CANCEL_TRIES, CANCEL_PAUSE_S = 10, 2.0
"""A new batch may be a 404 for some seconds (anthropic-sdk-python issue 1432)."""


class Sender:
    """Sends the parts of a job and finds again what was sent."""

    def __init__(
        self, client: anthropic.Anthropic, parts: Parts, clock: Clock, settle_s: float
    ) -> None:
        self.batches = client.messages.batches
        self.client = client
        self.parts, self.clock, self.settle_s = parts, clock, settle_s
        self._looked_since: dict[int, float] = {}
        self._strangers: set[tuple[int, str]] = set()

    def newest(self) -> tuple[str, str] | None:
        """Return id and creation of the newest batch there is, None if there is none."""
        found = self.batches.list(limit=1).data
        return (found[0].id, found[0].created_at.isoformat()) if found else None

    def send(self, part: Part) -> bool:
        """Send a part that is noted as sending; return False if it cannot be known yet.

        Raises the SDK's exception where the API said no, and `Refused` where a layer of the
        client did, a budget for example; then the rows wait again.
        """
        try:
            self._create(part)
        except anthropic.APIStatusError as error:
            if may_exist(error.status_code):
                return False
            self.parts.void(part)
            raise
        except Refused:  # a layer of the client said no, and nothing was sent
            self.parts.void(part)
            raise
        except (anthropic.APIConnectionError, DeadlineExceeded, NotAgain):
            return False
        return True

    def find(self, part: Part) -> bool:
        """Look for an uncertain part once; return whether it is settled what became of it."""
        since = self._looked_since.setdefault(part.number, self.clock.now())
        oldest = None if part.newest_at is None else datetime.fromisoformat(part.newest_at)
        ours, unsure = self.parts.ids(), False
        for batch in self.batches.list(limit=PAGE):
            if oldest is not None and batch.created_at < oldest:
                break
            if batch.id in ours or batch.id == part.newest_id or _rows(batch) != part.size:
                continue
            if (part.number, batch.id) in self._strangers:
                continue
            if batch.processing_status != "ended":
                unsure = True
            elif self._first_name(batch.id).startswith(part.mark):
                self.parts.move(part, "open", batch.id)
                return True
            else:
                # A stranger to this part, and perhaps another uncertain part of ours.
                self._strangers.add((part.number, batch.id))
        if unsure or self.clock.now() - since < self.settle_s:
            return False
        self.parts.void(part)
        return True

    def cancel(self, part: Part) -> None:
        """Ask for the end of an open batch; one that has ended already is left alone."""
        self.parts.cancel(part)
        for left in reversed(range(CANCEL_TRIES)):
            try:
                self.batches.cancel(str(part.id))
                return
            except anthropic.BadRequestError:  # it has ended meanwhile
                return
            except anthropic.NotFoundError:
                if not left:
                    raise
                self.clock.sleep(CANCEL_PAUSE_S)

    def _create(self, part: Part) -> None:
        """Create the batch and note its id, Ctrl-C or not."""
        requests = self.parts.requests(part)
        layers = [*self.client.middleware, Once()]
        once = self.client.with_options(max_retries=0, middleware=layers).messages.batches
        with interrupt_held():
            batch = once.create(requests=requests)  # type: ignore[arg-type]
            self.parts.move(part, "open", batch.id)

    def _first_name(self, batch_id: str) -> str:
        with closing(result_lines(self.batches, batch_id)) as lines:
            return str(next(lines, {"custom_id": ""})["custom_id"])


def result_lines(batches: Any, batch_id: str) -> Generator[dict[str, Any], None, None]:
    """Yield the lines of a batch's results as they are downloaded, as plain JSON.

    Raises `anthropic.APIConnectionError` where the download breaks off.
    """
    with closing(batches.results(batch_id)) as decoder:
        response, rest = decoder.http_response, b""
        try:
            for data in response.iter_bytes():
                # By newlines alone: a text may hold what Unicode calls the end of a line.
                *whole, rest = (rest + data).split(b"\n")
                yield from (json.loads(line) for line in whole if line)
            if rest:
                yield json.loads(rest)
        except (httpx2.TransportError, ValueError) as error:
            message = f"The results of {batch_id} broke off: {error}"
            raise anthropic.APIConnectionError(message=message, request=response.request) from error


def _rows(batch: MessageBatch) -> int:
    return sum(batch.request_counts.to_dict().values())  # type: ignore[arg-type]

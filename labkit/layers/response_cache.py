"""A response cache: an identical request is answered again at once, and costs nothing.

Identical calls at once are one flight: one is sent, and all get its answer.  What may be kept is
said in `labkit.layers.cached`, what makes two requests identical in `labkit.layers.cache_key`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from labkit.flow import Effect, Flow, Note, Now, Outcome, Request, Send, Sleep, Wait
from labkit.layers.cache_delivery import Delivering
from labkit.layers.cache_key import Key, digest
from labkit.layers.cache_scope import Tenant, scope, user_of
from labkit.layers.cache_shelf import Lifetimes, Shelf
from labkit.layers.cache_store import Store
from labkit.layers.cached import Cached, body_of, given_again
from labkit.layers.collected import collector, message_in
from labkit.layers.ready import CACHE, put_label
from labkit.layers.rungs import READY, cause
from labkit.layers.single_flight import Brought, Flight, Flights, Unshared

__all__ = ["ResponseCache"]

POLL_S, RESERVE_S, MOMENT_S = 0.05, 0.1, 0.001
"""How often to look for another process's answer; what a stale answer keeps of a deadline; how
close to it a failure is one of time."""


class ResponseCache(Delivering):
    """Answers from `store` (a `Store`, or the path of a SQLite file) what it was asked before.

    An answer is fresh for `ttl` seconds, less up to the share `jitter` of it, so that not all
    expire at once.  For `stale_if_error` seconds more it stands in where no new one can be had,
    and its rung is "stale": see `labkit.rung_of`.  A request that is wrong stays wrong for
    `negative` seconds.  Entries above `largest` bytes are not kept.

    `tenant` says whose answer it is, a name or a function of the request (default: its
    `metadata.user_id`); tenants never share.  Clients of several keys or hosts need one each.  A
    body that sets a temperature above 0 asks for variety, and passes unless `frozen_sample`.

    Who asks what is on its way already waits for it, `patience` seconds at most; if its leader is
    cancelled or runs out of time the next one leads.  A stream is shared once it has been read.  A
    store that is not in memory is asked in the caller's thread, or in one of its own under the
    async SDK, and never holds up other calls; one that fails is as if empty, and its `trouble`
    says why.

    Place it outside of `Retry` and inside of `Deadline`.  Every call has a note "cache" with its
    verdict and the reason, `labkit.layers.cache_delivery.why` reads them off an answer, and
    `verdicts` counts.  Raises ValueError for a setting that makes no sense.
    """

    def __init__(
        self,
        store: Store | Path | str = "labkit-cache.db",
        *,
        ttl: float = 3600.0,
        jitter: float = 0.1,
        stale_if_error: float = 86_400.0,
        negative: float = 10.0,
        tenant: Tenant = user_of,
        frozen_sample: bool = False,
        patience: float = 60.0,
        largest: int = 100_000,
        seed: int | None = None,
    ) -> None:
        if not (patience > 0 and largest > 0):
            raise ValueError("Patience is above 0 seconds, and the largest entry above 0 bytes.")
        if isinstance(store, (str, Path)):
            from labkit.layers.sqlite_store import SqliteStore

            store = SqliteStore(store)
        self.store: Store = store
        lifetimes = Lifetimes(ttl, jitter, stale_if_error, negative, seed)
        self._shelf, self._flights = Shelf(self.store, lifetimes, largest), Flights()
        self.tenant, self.frozen_sample, self.patience = tenant, frozen_sample, patience
        self.verdicts: Counter[str] = Counter()

    def flow(self, request: Request) -> Flow:
        """Answer from the store, wait for a call that is on its way, or lead one."""
        key = scope(request, self.tenant, self.frozen_sample)
        last = inf if request.deadline is None else request.deadline
        while isinstance(key, Key):
            now: float = yield Now()
            flight = self._flights.find(key.name, now)
            if flight is None:
                return (yield from self._lead(request, key, now))
            yield Wait(flight.landed, min(flight.until, last))
            brought = flight.brought
            if isinstance(brought, Cached):
                return (yield from self._give(brought, "shared with an identical call"))
            if isinstance(brought, Outcome):
                yield self._note("shared", f"an identical call failed: {brought.reason}")
                return brought
            if brought is Unshared.PRIVATE or (yield Now()) >= last:
                key = brought.value
        if key:
            yield self._note("bypass", key)
        outcome: Outcome = yield Send(request)
        return outcome

    def _lead(self, request: Request, key: Key, now: float) -> Flow:
        """Look it up, or send, on behalf of all who ask the same."""
        flight = self._flights.begin(key.name, now + self.patience)
        brought: Brought | None = Unshared.ABANDONED
        try:
            found, today = yield from self._look(key, flight)
            if found is not None and today < found.fresh_until:
                brought = found
                return (yield from self._give(found, f"stored {today - found.stored_at:.0f} s ago"))
            reason = self._shelf.why_missing(key, found, today)
            yield self._note("miss", reason)
            spare = found if found is not None and today < found.kept_until else None
            if spare is not None and request.deadline is not None:
                request = request.within(request.deadline - RESERVE_S)
            outcome: Outcome = yield Send(request)
            if spare is not None and cause(outcome, read=False) in READY:
                yield from self._shelf.release(key)
                brought = spare
                return (yield from self._give(spare, f"after {outcome.reason}", stale=True))
            put_label(outcome.value, f"miss: {reason}", CACHE)
            brought = yield from self._keep(outcome, key, flight)
            if brought is outcome and _is_too_late(request, (yield Now())):
                brought = Unshared.ABANDONED
            return outcome
        finally:  # also when the leader is cancelled
            if brought is not None:
                self._flights.land(key.name, flight, brought)

    def _look(
        self, key: Key, flight: Flight
    ) -> Generator[Effect, Any, tuple[Cached | None, float]]:
        """Look the entry up, and where another process is about to bring it, wait for that."""
        while True:
            found = yield from self._shelf.find(key)
            now: float = yield Now()
            today = self.store.today(now)
            left = flight.until - now
            if (found is not None and today < found.fresh_until) or left <= 0:
                return found, today
            if (yield from self._shelf.claim(key, today, today + left)):
                return found, today
            yield Sleep(min(POLL_S, left))

    def _keep(
        self, outcome: Outcome, key: Key, flight: Flight
    ) -> Generator[Effect, Any, Brought | None]:
        """Keep what may be kept; return what the flight brings, None if a stream is to be read."""
        stream = collector(outcome.value)
        if outcome.ok and stream is not None:
            stream.collect(partial(self._read, outcome, key, flight))
            return None
        body, now = body_of(outcome), (yield Now())
        kept = yield from self._shelf.done(partial(self._shelf.put, key, outcome, body, now))
        if kept is not None or outcome.ok:
            return kept or Unshared.PRIVATE
        served = outcome.status is not None or outcome.unreachable
        return outcome if served else Unshared.ABANDONED

    def _read(self, outcome: Outcome, key: Key, flight: Flight, raw: bytes | None) -> None:
        """Keep a stream that has been read; its reader's thread calls this, and no flow."""
        brought: Brought = Unshared.ABANDONED
        try:
            encoding = outcome.headers.get("content-encoding", "")
            body = {} if raw is None else message_in(raw, encoding)
            kept = self._shelf.put(key, outcome, body, self.clock.now())
            brought = kept or (Unshared.ABANDONED if raw is None else Unshared.PRIVATE)
        finally:
            self._flights.land(key.name, flight, brought)

    def _give(self, cached: Cached, reason: str, *, stale: bool = False) -> Flow:
        verdict = "stale" if stale else "hit" if cached.status == 200 else "refused"
        yield self._note(verdict, reason)
        return given_again(cached, f"{verdict}: {reason}", stale=stale)

    def _note(self, verdict: str, reason: str) -> Note:
        self.verdicts[verdict] += 1
        return Note("cache", verdict=verdict, why=reason)

    def forget(self, tenant: str) -> int:
        """Delete all answers of a tenant that are there now, and return how many."""
        return self.store.forget(digest(tenant))


def _is_too_late(request: Request, now: float) -> bool:
    """Say whether a failure may be that of this caller's patience: others may have more."""
    return request.deadline is not None and now > request.deadline - MOMENT_S

"""The shelf of a response cache: for how long what is kept, and why something is not there."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from random import Random
from typing import Any, TypeVar

from labkit.flow import Do, Effect, Outcome
from labkit.layers.cache_key import Key
from labkit.layers.cache_store import Store
from labkit.layers.cache_why import Recent
from labkit.layers.cached import Cached, objection

__all__ = ["Lifetimes", "Shelf"]

T = TypeVar("T")


class Lifetimes:
    """For how many seconds an answer is fresh, and may be stale; jitter shortens the first.

    Raises ValueError for a negative time, or a jitter that is no share below 1.
    """

    def __init__(
        self, ttl: float, jitter: float, stale_if_error: float, negative: float, seed: int | None
    ) -> None:
        if not (ttl > 0 and 0 <= jitter < 1 and stale_if_error >= 0 and negative >= 0):
            raise ValueError("An answer lives for more than 0 seconds, with a jitter below 1.")
        self.ttl, self.jitter = ttl, jitter
        self.stale_if_error, self.negative = stale_if_error, negative
        self._dice = Random(seed)

    def of(self, status: int) -> tuple[float, float]:
        """Draw the seconds to be fresh, and those to be kept: a wrong request is never stale."""
        longest, more = (self.ttl, self.stale_if_error) if status == 200 else (self.negative, 0.0)
        fresh = longest * (1.0 - self.jitter * self._dice.random())
        return fresh, fresh + more


class Shelf:
    """Entries of at most `largest` bytes in a store, as answers."""

    def __init__(self, store: Store, lifetimes: Lifetimes, largest: int) -> None:
        self.store, self.lifetimes, self.largest = store, lifetimes, largest
        self.recent = Recent()

    def done(self, work: Callable[[], T]) -> Generator[Effect, Any, T]:
        """Have the store do something: here, or where it holds up nobody."""
        if self.store.instant:
            return work()
        done: T = yield Do(work)
        return done

    def find(self, key: Key) -> Generator[Effect, Any, Cached | None]:
        """Return what is there, however old; None if there is nothing that can be read."""
        return Cached.from_text((yield from self.done(partial(self.store.get, key.name))))

    def claim(self, key: Key, today: float, until: float) -> Generator[Effect, Any, bool]:
        """Say whether this process may ask for what is missing."""
        return (yield from self.done(partial(self.store.claim, key.name, today, until)))

    def release(self, key: Key) -> Generator[Effect, Any, None]:
        """Let others ask."""
        yield from self.done(partial(self.store.release, key.name))

    def why_missing(self, key: Key, found: Cached | None, today: float) -> str:
        """Say why there is no fresh answer."""
        if found is not None:
            return f"expired {today - found.fresh_until:.0f} s ago"
        return self.store.trouble or self.recent.why_missing(key)

    def put(self, key: Key, outcome: Outcome, body: Any, now: float) -> Cached | None:
        """Keep an answer and return it as kept, None if it may not be; it takes real time."""
        today, status = self.store.today(now), outcome.status or 0
        against, text, entry = objection(outcome, body), "", None
        if not against:
            fresh, kept = (today + length for length in self.lifetimes.of(status))
            entry = Cached(status, body, today, fresh, kept)
            text = entry.to_text()
            if len(text) > self.largest:
                against = f"it has {len(text)} bytes"
        self.recent.asked(key, against)
        if entry is None or against:
            self.store.release(key.name)
            return None
        self.store.put(key.name, key.tenant, text, today, entry.kept_until)
        return entry

"""The response cache's entries in a Redis server, shared by processes of several machines.

Every question has a short timeout.  After a failure the server is left alone for a while, so that
its outage costs calls next to nothing; meanwhile the store is as if empty.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

__all__ = ["RedisStore"]

T = TypeVar("T")
REST_S = 5.0
"""How long a server that failed is not asked."""
RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end"
"""End a claim only if it is one's own."""


class RedisStore:
    """Keeps the `most` entries stored last, under names that begin with `prefix`.

    `url` is, for example, "redis://127.0.0.1:6379/0"; an answer takes `timeout` seconds at most.
    Needs the package `redis`.  Raises ValueError for less than one entry, a timeout that is none
    or a URL that is none, and nothing else ever.
    """

    instant = False

    def __init__(
        self,
        url: str,
        most: int = 10_000,
        *,
        prefix: str = "labkit",
        timeout: float = 0.25,
        today: Callable[[], float] = time.time,
    ) -> None:
        if most < 1 or not timeout > 0:
            raise ValueError("A store holds at least one entry and waits more than 0 seconds.")
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self.most, self.prefix, self.trouble, self._clock = most, prefix, "", today
        self._failures = (redis.RedisError, OSError)
        self._db: Any = redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._owner, self._asked_again = uuid4().hex, float("-inf")

    def today(self, now: float) -> float:  # noqa: ARG002
        """Return the time of day."""
        return self._clock()

    def get(self, name: str) -> str | None:
        """Return an entry's text."""
        found = self._ask(lambda: self._db.hget(f"{self.prefix}:entry:{name}", "text"), None)
        return found if isinstance(found, str) else None

    def put(self, name: str, tenant: str, text: str, now: float, until: float) -> None:
        """Keep a text, and beyond `most` let go of the oldest."""
        entry, index = f"{self.prefix}:entry", f"{self.prefix}:index"
        lives = max(1, round((until - now) * 1000))

        def write() -> None:
            with self._db.pipeline(transaction=True) as steps:
                steps.hset(f"{entry}:{name}", mapping={"text": text, "tenant": tenant})
                steps.pexpire(f"{entry}:{name}", lives)
                steps.delete(f"{self.prefix}:claim:{name}")
                steps.zadd(index, {name: now})
                steps.zcard(index)
                held = steps.execute()[-1]
            if held > self.most:
                names = [first for first, _ in self._db.zpopmin(index, held - self.most)]
                self._db.delete(*(f"{entry}:{first}" for first in names))

        self._ask(write, None)

    def claim(self, name: str, now: float, until: float) -> bool:
        """Claim what is missing, unless another process has."""
        place, lives = f"{self.prefix}:claim:{name}", max(1, round((until - now) * 1000))

        def write() -> bool:
            taken = self._db.set(place, self._owner, nx=True, px=lives)
            return bool(taken) or self._db.get(place) == self._owner

        return self._ask(write, True)

    def release(self, name: str) -> None:
        """End one's own claim."""
        place = f"{self.prefix}:claim:{name}"
        self._ask(lambda: self._db.eval(RELEASE, 1, place, self._owner), None)

    def forget(self, tenant: str) -> int:
        """Delete a tenant's entries; all of the cache's entries are looked through."""

        def write() -> int:
            gone = 0
            for entry in self._db.scan_iter(f"{self.prefix}:entry:*", count=1000):
                if self._db.hget(entry, "tenant") == tenant:
                    gone += self._db.delete(entry)
                    self._db.zrem(f"{self.prefix}:index", entry.rpartition(":")[2])
            return gone

        return self._ask(write, 0)

    def close(self) -> None:
        """Close the connections; they are opened again when they are needed."""
        self._db.close()

    def __len__(self) -> int:
        return self._ask(lambda: int(self._db.zcard(f"{self.prefix}:index")), 0)

    def _ask(self, work: Callable[[], T], otherwise: T) -> T:
        if time.monotonic() < self._asked_again:
            return otherwise
        try:
            done = work()
        except self._failures as error:
            self._asked_again = time.monotonic() + REST_S
            said = f"The response cache in Redis cannot be used ({error}) and is as if empty."
            if said != self.trouble:
                logging.getLogger("labkit").warning(said)
            self.trouble = said
            return otherwise
        self.trouble = ""
        return done

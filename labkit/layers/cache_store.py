"""Where a response cache keeps its entries: what it needs of a store, and the one in memory.

A store holds texts.  It is told nothing of requests and answers, and it never raises: one that
cannot be reached or read behaves as if it were empty, and says in `trouble` what is the matter.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Protocol

__all__ = ["MemoryStore", "Store"]


class Store(Protocol):
    """What a response cache needs.  Methods may be called from any thread and end soon."""

    @property
    def instant(self) -> bool:
        """Whether a flow may ask it directly: it touches neither a file nor a socket."""
        ...

    @property
    def trouble(self) -> str:
        """What is the matter with it, "" if nothing is."""
        ...

    def today(self, now: float) -> float:
        """Return the time that entries are kept by; `now` is that of the driver's clock."""
        ...

    def get(self, name: str) -> str | None:
        """Return an entry's text."""
        ...

    def put(self, name: str, tenant: str, text: str, now: float, until: float) -> None:
        """Keep a text from `now` until then at most, and end a claim to its name."""
        ...

    def claim(self, name: str, now: float, until: float) -> bool:
        """Say whether this process may ask for what is missing; others then may not, until then.

        A process that dies meanwhile leaves its claim behind: it ends by itself.
        """
        ...

    def release(self, name: str) -> None:
        """End a claim that leads to nothing."""
        ...

    def forget(self, tenant: str) -> int:
        """Delete a tenant's entries and return how many there were."""
        ...

    def __len__(self) -> int: ...


class MemoryStore:
    """Keeps the `most` entries used last in this process; the driver's clock counts.

    Raises ValueError for less than one entry.
    """

    instant = True
    trouble = ""

    def __init__(self, most: int = 10_000) -> None:
        if most < 1:
            raise ValueError(f"A store holds at least one entry, not {most}.")
        self.most = most
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def today(self, now: float) -> float:
        """Return `now`."""
        return now

    def get(self, name: str) -> str | None:
        """Return an entry's text, which is now the one used last."""
        with self._lock:
            found = self._entries.get(name)
            if found is None:
                return None
            self._entries.move_to_end(name)
            return found[1]

    def put(self, name: str, tenant: str, text: str, now: float, until: float) -> None:  # noqa: ARG002
        """Keep a text, and let go of the one whose last use is longest ago."""
        with self._lock:
            self._entries[name] = (tenant, text)
            self._entries.move_to_end(name)
            if len(self._entries) > self.most:
                self._entries.popitem(last=False)

    def claim(self, name: str, now: float, until: float) -> bool:  # noqa: ARG002
        """Say yes: nobody else uses this store."""
        return True

    def release(self, name: str) -> None:
        """Do nothing, as there are no claims."""

    def forget(self, tenant: str) -> int:
        """Delete a tenant's entries."""
        with self._lock:
            names = [name for name, (whose, _) in self._entries.items() if whose == tenant]
            for name in names:
                del self._entries[name]
        return len(names)

    def __len__(self) -> int:
        return len(self._entries)

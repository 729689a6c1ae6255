"""Why a response cache did not have an answer, in a sentence that names what was different.

It remembers the digests of the latest requests, never their words, and compares a tenant's
request with that tenant's own requests only.
"""

from __future__ import annotations

from contextlib import suppress

from labkit.layers.cache_key import Key

__all__ = ["Recent"]

REMEMBERED = 100


class Recent:
    """The requests asked last, and why the answers of some of them were not kept.

    Several threads may use it at once: each step is one operation on a dictionary.
    """

    def __init__(self) -> None:
        self._requests: dict[str, tuple[Key, str]] = {}

    def asked(self, key: Key, objection: str) -> None:
        """Remember a request; `objection` is why its answer was not kept, "" if it was."""
        self._requests.pop(key.name, None)
        self._requests[key.name] = (key, objection)
        if len(self._requests) > REMEMBERED:
            with suppress(StopIteration, RuntimeError):
                self._requests.pop(next(iter(self._requests)), None)

    def why_missing(self, key: Key) -> str:
        """Say why there is no entry for a request."""
        if (known := self._requests.get(key.name)) is not None:
            return f"the last answer was not kept: {known[1]}" if known[1] else "no longer there"
        others = [other for other, _ in list(self._requests.values()) if other.tenant == key.tenant]
        nearest = min((_differing(key, other) for other in reversed(others)), key=len, default=[])
        if not nearest or len(nearest) >= len(key.parts) - 1:
            return "never asked before"
        return f"an earlier request differs in {', '.join(nearest)}"


def _differing(one: Key, other: Key) -> list[str]:
    names = sorted({*one.parts, *other.parts})
    return [name for name in names if one.parts.get(name) != other.parts.get(name)]

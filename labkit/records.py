"""Values that are quick to make, read-only, and changed by making another.

There are a dozen of them in every attempt, and a frozen dataclass takes far longer to make.
"""

from __future__ import annotations

from typing import Any, Self

from msgspec import Struct, structs

__all__ = ["Record"]


class Record(Struct, frozen=True):
    """A read-only value with named fields, equal to any other of its kind with equal fields."""

    def replace(self, **changes: Any) -> Self:
        """Return the same with these fields changed; raises TypeError for a field it has not."""
        return structs.replace(self, **changes)

"""Dataclasses that only the type checker keeps anybody from changing.

There are a dozen of them in every attempt, and `frozen=True` would make each cost four times as
much.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

__all__ = ["record"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(kind: type[T]) -> type[T]:
    """Make a dataclass with slots, read-only to the type checker."""
    return dataclass(slots=True)(kind)

"""Virtual time as a date: second zero is 2026-11-22T00:00:00Z."""

from __future__ import annotations

from datetime import UTC, date, datetime

__all__ = ["EPOCH", "stamp", "today"]

EPOCH = 1_795_305_600
"""Virtual time zero in seconds since 1970."""


def stamp(now: float) -> str:
    """Write a time as the batch objects do.

    >>> stamp(126.5)
    '2026-11-22T00:02:06.500000+00:00'
    """
    return datetime.fromtimestamp(EPOCH + now, UTC).isoformat(timespec="microseconds")


def today(now: float) -> date:
    """Return the day of a time, in UTC.

    >>> today(86_400.0)
    datetime.date(2026, 11, 23)
    """
    return datetime.fromtimestamp(EPOCH + now, UTC).date()

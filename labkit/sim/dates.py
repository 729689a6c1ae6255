"""Virtual time as a date: second zero is 2026-11-22T00:00:00Z."""

from __future__ import annotations

from datetime import UTC, date, datetime

__all__ = ["EPOCH", "http_date", "stamp", "today"]

EPOCH = 1_795_305_600
"""Virtual time zero in seconds since 1970."""
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("", *("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"))


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


def http_date(now: float) -> str:
    """Write a time as the `date` header does.

    >>> http_date(126.5)
    'Sun, 22 Nov 2026 00:02:06 GMT'
    """
    at = datetime.fromtimestamp(EPOCH + int(now), UTC)
    clock = f"{at.hour:02}:{at.minute:02}:{at.second:02}"
    return f"{DAYS[at.weekday()]}, {at.day:02} {MONTHS[at.month]} {at.year} {clock} GMT"

"""Virtual time as dates: the formats of headers and of batch objects, second by second."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.dates import EPOCH, http_date, stamp, today

times = st.floats(0, 4e9)


@given(times)
def test_a_header_date_is_one_that_others_can_read(now: float) -> None:
    """To the second, in GMT."""
    assert parsedate_to_datetime(http_date(now)).timestamp() == EPOCH + int(now)


@given(times)
def test_a_stamp_is_the_same_moment_to_the_microsecond(now: float) -> None:
    """With its zone."""
    assert abs(datetime.fromisoformat(stamp(now)).timestamp() - EPOCH - now) < 2e-6
    assert stamp(now).endswith("+00:00")


def test_virtual_time_begins_at_midnight_and_days_follow_one_another() -> None:
    """In UTC, whatever the machine's zone."""
    assert datetime.fromtimestamp(EPOCH, UTC).isoformat() == "2026-11-22T00:00:00+00:00"
    assert today(86_399.9).day == 22
    assert today(86_400.0).day == 23

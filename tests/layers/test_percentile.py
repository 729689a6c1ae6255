"""A percentile of the latest times."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.layers.percentile import Percentile


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=60),
    st.floats(0.01, 0.99),
    st.integers(1, 30),
)
def test_it_is_the_nearest_rank_of_the_latest_times(
    times: list[float], share: float, latest: int
) -> None:
    """As if they were sorted anew every time."""
    percentile = Percentile(share, latest=latest, least=1)
    for seconds in times:
        percentile.enter(seconds)
    kept = sorted(times[-latest:])
    assert percentile.value == kept[math.ceil(share * len(kept)) - 1]


def test_too_few_times_are_no_percentile() -> None:
    """The largest of three is no p95."""
    percentile = Percentile(0.95, least=4)
    for _ in range(3):
        percentile.enter(1.0)
        assert percentile.value is None
    percentile.enter(1.0)
    assert percentile.value == 1.0


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 95.0, math.nan])
def test_a_share_lies_between_0_and_1(share: float) -> None:
    """95 is meant as 0.95."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        Percentile(share)


@pytest.mark.parametrize(("latest", "least"), [(0, 1), (10, 11), (10, 0)])
def test_the_numbers_of_times_must_make_sense(latest: int, least: int) -> None:
    """It could never have a value, or would have one of nothing."""
    with pytest.raises(ValueError, match="make no sense"):
        Percentile(0.5, latest=latest, least=least)

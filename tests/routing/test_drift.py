"""Drift is told when the traffic has changed, and seldom when it has not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.routing.drift import drift
from labkit.sim.skill import attempted

samples = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def scores(skill: float, seed: int, tasks: int = 400) -> list[float]:
    """Scores of a verifier on the answers of a model of this skill."""
    return [row[0].score for row in attempted([skill], auc=0.9, tasks=tasks, seed=seed)]


def test_harder_tasks_show_in_the_scores() -> None:
    """Questions have become harder by a good deal: it is time to calibrate again."""
    assert drift(scores(2, 1), scores(0, 2)).drifted


def test_the_same_traffic_seldom_raises_an_alarm() -> None:
    """At most about one in a hundred by chance; of 60 weeks two at most."""
    calibration = scores(2, 0, tasks=2000)
    assert sum(drift(calibration, scores(2, week)).drifted for week in range(1, 61)) <= 2


@given(samples, samples)
def test_the_distance_is_one_of_two_samples(one: list[float], two: list[float]) -> None:
    """From 0 to 1, the same both ways, and 0 for the same sample."""
    told = drift(one, two)
    assert 0 <= told.distance <= 1
    assert told == drift(two, one)
    assert drift(one, one).distance == 0


def test_an_empty_sample_is_refused() -> None:
    """Nothing cannot be compared."""
    for one, two, alarms in (([], [0.1], 0.01), ([0.1], [], 0.01), ([0.1], [0.1], 0.0)):
        with pytest.raises(ValueError, match="two samples"):
            drift(one, two, false_alarms=alarms)

"""A window that slides: what it counts, what it forgets, and when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from labkit.layers.health import Counts, Health

events = st.lists(
    st.tuples(st.floats(0, 20), st.booleans(), st.booleans()), min_size=1, max_size=60
)


def test_calls_failures_and_slow_calls_are_counted_apart() -> None:
    """A slow failure is both."""
    health = Health(30, 10)
    health.enter(1)
    health.enter(2, failed=True)
    health.enter(3, slow=True)
    health.enter(4, failed=True, slow=True)
    assert health.counts(5) == Counts(calls=4, failures=2, slow=2)


def test_what_is_older_than_the_window_is_forgotten() -> None:
    """Slice by slice, without anybody entering anything."""
    health = Health(30, 10)
    health.enter(0)
    health.enter(10)
    assert health.counts(29.9).calls == 2
    assert health.counts(30).calls == 1
    assert health.counts(40).calls == 0


@given(events)
def test_it_holds_no_less_than_a_slice_short_of_the_window_and_no_more(
    steps: list[tuple[float, bool, bool]],
) -> None:
    """Against a plain list of everything: between nine and ten of ten slices."""
    health, now = Health(10, 10), 0.0
    seen: list[tuple[float, bool, bool]] = []
    for gap, failed, slow in steps:
        now += gap
        health.enter(now, failed=failed, slow=slow)
        seen.append((now, failed, slow))
    counts = health.counts(now)
    least = [one for one in seen if one[0] > now - 9]
    most = [one for one in seen if one[0] > now - 10.001]
    assert len(least) <= counts.calls <= len(most)
    assert sum(f for _, f, _ in least) <= counts.failures <= sum(f for _, f, _ in most)
    assert sum(s for _, _, s in least) <= counts.slow <= sum(s for _, _, s in most)


def test_a_clock_that_steps_back_changes_nothing() -> None:
    """The newest slice stays the newest."""
    health = Health(30, 10)
    health.enter(100)
    health.enter(5)
    assert health.counts(5).calls == 2


def test_a_busy_day_takes_no_more_memory_than_its_window() -> None:
    """Whatever has passed is let go as time goes on, not only when somebody looks."""
    health = Health(30, 10)
    for second in range(10_000):
        health.enter(float(second))
    assert len(health._slices) <= 11

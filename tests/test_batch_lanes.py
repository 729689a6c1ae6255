"""Two lanes under a deadline: how many rows go live, when, and what that costs."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.batch_lanes import Lanes, Routed, two_lanes
from labkit.errors import UserError
from labkit.sim.faults import Fault
from tests.batching import Bench, rows

COUNT = 60


def play(
    tmp_path: Path, deadline_s: float, *faults: Fault, most_rows: int = 10_000
) -> tuple[Routed, Decimal, Bench]:
    """Run a job under a deadline; return what became of it, its bill, and the bench."""
    bench = Bench(tmp_path, faults=faults, tier=None)
    lanes = Lanes(deadline_s, seconds_per_row=3.0, workers=1, worth_s=100)
    with bench.job(poll_s=5.0, most_rows=most_rows) as job:
        job.give(rows(COUNT))
        routed = two_lanes(job, lanes)
        assert [line["custom_id"] for line in job.results()] == [f"row-{n}" for n in range(COUNT)]
        assert job.counts.kinds == {"succeeded": COUNT}
        assert job.bill() == bench.billed()[1] + bench.api.bill.total
        return routed, job.bill(), bench


def test_a_long_deadline_pays_half_and_goes_live_never(tmp_path: Path) -> None:
    """The batch has ended long before the switch."""
    routed, dollars, bench = play(tmp_path, 20_000)
    assert (routed.batch, routed.live, routed.late, routed.switched_s) == (COUNT, 0, 0, None)
    assert dollars == bench.billed()[1]
    assert "POST " not in bench.calls


def test_a_short_deadline_goes_live_at_once_and_pays_in_full(tmp_path: Path) -> None:
    """Where a batch would have no time to be of use, none is made."""
    routed, _, bench = play(tmp_path, 250)
    assert (routed.batch, routed.live, routed.late, routed.switched_s) == (0, COUNT, 0, 0.0)
    assert bench.batches == 0
    assert routed.ended_s <= 250


def test_what_the_batch_does_not_bring_in_time_goes_live(tmp_path: Path) -> None:
    """A batch that lasts a day because a row expires is cancelled; nothing is billed twice."""
    routed, dollars, bench = play(tmp_path, 600, Fault("batch_row_expired", share=0.5))
    assert routed.switched_s == pytest.approx(600 - COUNT * 3.0 - 60, abs=1)
    assert routed.batch == routed.live == COUNT / 2
    assert (routed.late, routed.perhaps_twice) == (0, 0)
    assert routed.ended_s <= 600
    assert set(bench.billed()[0].values()) == {1}
    assert sum(bench.billed()[0].values()) == COUNT / 2
    assert dollars > bench.billed()[1]


def test_money_falls_as_the_deadline_grows(tmp_path: Path) -> None:
    """Cost against waiting time: all live, half and half, all in the batch."""
    faults = [(), (Fault("batch_row_expired", share=0.5),), ()]
    bills = []
    for place, deadline in enumerate([250.0, 600.0, 20_000.0]):
        folder = tmp_path / str(place)
        folder.mkdir()
        bills.append(play(folder, deadline, *faults[place])[1])
    assert bills == sorted(bills, reverse=True)
    assert bills[0] / bills[2] == pytest.approx(2, rel=0.25)


def test_rows_for_which_there_is_no_time_wait_in_the_job(tmp_path: Path) -> None:
    """A deadline that cannot be met is said in the report, and the rows can still be run."""
    bench = Bench(tmp_path, tier=None)
    with bench.job() as job:
        job.give(rows(COUNT))
        routed = two_lanes(job, Lanes(20, seconds_per_row=3.0, workers=1))
        assert 0 < routed.live < COUNT
        assert routed.late == COUNT - routed.live == job.counts.waiting
        job.run()
        assert job.counts.kinds == {"succeeded": COUNT}
    live = bench.calls.count("POST ")
    assert live == routed.live
    assert sum(bench.billed()[0].values()) == routed.late


def test_a_batch_that_does_not_end_in_time_may_be_billed_twice_and_that_is_said(
    tmp_path: Path,
) -> None:
    """The deadline is kept all the same; the first answer to a row is its result."""
    bench = Bench(tmp_path, tier=None)
    lanes = Lanes(400, seconds_per_row=3.0, workers=1, cancel_s=0.001, worth_s=100)
    with bench.job(poll_s=5.0) as job:
        job.give(rows(COUNT))
        job.submit()
        (batch,) = bench.api.batches._batches.values()
        batch._start = batch.created + 150.0  # in the midst of it when it is cancelled
        batch._through, batch._cancel_s = batch._start + 140.0, 9999.0
        routed = two_lanes(job, lanes)
        assert (routed.batch, routed.live, routed.late) == (0, COUNT, 0)
        assert routed.perhaps_twice == COUNT
        assert Counter(line["custom_id"] for line in job.results()).total() == COUNT
    assert routed.ended_s <= 400


def test_a_live_row_that_fails_is_an_errored_result(tmp_path: Path) -> None:
    """It has the form of a batch's own."""
    bench = Bench(tmp_path, faults=[Fault("internal", path="/v1/messages")])
    with bench.job() as job:
        job.client = bench.client.with_options(max_retries=0)
        job.give(rows(2))
        two_lanes(job, Lanes(30, seconds_per_row=3.0, workers=1))
        errors = [line["result"]["error"]["error"]["type"] for line in job.results()]
    assert errors == ["api_error", "api_error"]


@given(st.integers(0, 10_000), st.floats(1, 1e6), st.floats(0.1, 100), st.integers(1, 64))
def test_the_switch_leaves_the_live_lane_its_time(
    left: int, deadline: float, each: float, workers: int
) -> None:
    """At the switch, cancelling and asking the rest live just fit before the deadline."""
    lanes = Lanes(deadline, each, workers)
    assert lanes.switch_s(left) + lanes.cancel_s + lanes.live_s(left) == pytest.approx(deadline)
    assert lanes.switch_s(left) >= lanes.switch_s(left + 1)


def test_lanes_without_time_or_workers_are_refused() -> None:
    """A deadline is in the future and somebody must do the work."""
    for wrong in (
        {"deadline_s": 0},
        {"deadline_s": 9, "workers": 0},
        {"deadline_s": 9, "seconds_per_row": 0},
    ):
        with pytest.raises(UserError, match="deadline"):
            Lanes(**wrong)

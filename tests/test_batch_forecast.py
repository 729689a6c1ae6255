"""The forecast of a job against figures computed by hand and against the simulator's bill."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from labkit.batch_forecast import forecast
from labkit.errors import UnknownModel, UserError
from tests.batching import Bench, row, rows


def test_ten_thousand_rows_cost_180_dollars_instead_of_360() -> None:
    """5,000 tokens in and 800 out on Opus 5.5, half price (resilience.md 3.9)."""
    made = (row(f"r{place}", model="claude-opus-5-5", max_tokens=1000) for place in range(10_000))
    told = forecast(made, input_tokens=5000, output_tokens=800)
    assert (told.rows, told.input_tokens, told.output_tokens) == (10_000, 50_000_000, 8_000_000)
    assert told.dollars == 180
    assert told.live_dollars == 360
    assert told.at_most > told.dollars
    assert "$180.00 as a batch" in str(told)


def test_a_tiny_job_is_not_said_to_cost_nothing() -> None:
    """One row of a few tokens costs a fraction of a cent, and its bound is rounded up."""
    told = forecast([row("a", max_tokens=9)], input_tokens=1, output_tokens=1)
    assert 0 < told.dollars < told.at_most < Decimal("0.00005")
    low, most, live = (Decimal(figure) for figure in re.findall(r"\$(\d+\.\d+)", str(told)))
    assert low == pytest.approx(told.dollars, rel=Decimal("0.05"))
    assert told.at_most <= most < told.at_most * Decimal("1.1")
    assert live == pytest.approx(told.live_dollars, rel=Decimal("0.05"))


def test_an_answer_is_never_expected_to_be_longer_than_allowed() -> None:
    """`max_tokens` caps what is expected; without an expectation it is what is expected."""
    told = forecast([row("a", max_tokens=10)], input_tokens=1, output_tokens=800)
    assert told.output_tokens == 10
    assert (
        told.dollars == told.at_most == forecast([row("a", max_tokens=10)], input_tokens=1).dollars
    )


def test_tokens_may_be_counted_by_a_function_of_the_params() -> None:
    """Whoever knows better than the estimate says so."""
    told = forecast(
        [row("a", "three words here")], input_tokens=lambda params: len(params["messages"])
    )
    assert told.input_tokens == 1


def test_each_row_is_priced_by_its_own_model_and_region() -> None:
    """Jobs may mix models; US-only inference costs a tenth more."""
    small, large = row("a"), row("b", model="claude-opus-5-5", inference_geo="us")
    both, one = forecast([small, large], input_tokens=100), forecast([small], input_tokens=100)
    plain = forecast([row("b", model="claude-opus-5-5")], input_tokens=100)
    assert both.dollars - one.dollars == plain.dollars * Decimal("1.1")


def test_the_bill_stays_between_nothing_and_the_most_that_was_forecast(tmp_path: Path) -> None:
    """The estimate rather errs upwards, and no answer is longer than its `max_tokens`."""
    with Bench(tmp_path).job() as job:
        job.give(rows(200))
        told = job.forecast()
        job.run()
        assert 0 < job.bill() < told.at_most


def test_nothing_is_forecast_for_what_has_no_price() -> None:
    """An unknown model is an error, never zero; so is a malformed row."""
    with pytest.raises(UnknownModel):
        forecast([row("a", model="claude-9")])
    with pytest.raises(UserError, match="Row 1"):
        forecast([row("a b")])

"""The figures that lesson 09 carries are those of the published data, where the data are here."""

from __future__ import annotations

import ast
import csv
from pathlib import Path
from statistics import fmean, median
from typing import Any

import nbformat
import pytest

from labkit.routing.pareto import Option, front

ROOT = Path(__file__).parents[2]
LESSON = ROOT / "notebooks/09-model-selection.ipynb"
DATA = ROOT / ".." / "shared" / "data"

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the published data are not here")


def carried(name: str) -> Any:
    """Return the figures that the lesson assigns to a name."""
    notebook = nbformat.read(LESSON, as_version=4)  # type: ignore[no-untyped-call]
    for cell in notebook.cells:
        if cell.cell_type == "code" and f"{name} = " in cell.source:
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                    return ast.literal_eval(node.value)
    raise AssertionError(f"Lesson 09 assigns nothing to {name}.")


def rows(name: str) -> list[dict[str, str]]:
    """Read one of the published tables."""
    with (DATA / name).open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_outcomes_and_lengths_of_the_questions() -> None:
    """Four counts and three mean lengths."""
    asked = rows("routing-gsm8k-outcomes.csv")
    pairs = [(row["weak_correct"], row["strong_correct"]) for row in asked]
    orders = [("1", "1"), ("0", "1"), ("1", "0"), ("0", "0")]
    assert list(carried("GSM8K").values()) == [pairs.count(pair) for pair in orders]
    for what, mean in carried("CHARACTERS").items():
        assert mean == round(fmean(int(row[f"{what}_chars"]) for row in asked))


def test_the_shorter_half_of_the_questions() -> None:
    """How often the weak model is wrong, in all and in those up to the median length."""
    asked = rows("routing-gsm8k-outcomes.csv")
    middle = median(int(row["question_chars"]) for row in asked)
    short = [row for row in asked if int(row["question_chars"]) <= middle]
    for group, (wrong, size) in zip((asked, short), carried("WEAK_WRONG").values(), strict=True):
        assert (wrong, size) == (sum(row["weak_correct"] == "0" for row in group), len(group))


def test_the_fifths_of_the_coding_benchmark() -> None:
    """Median and best quality in each fifth by cost, and the sizes of the fronts."""
    known = [
        Option(
            row["model"],
            float(row["pass_rate_pct"]),
            float(row["total_cost_usd"]) / int(row["cases"]),
            float(row["seconds_per_case"]),
        )
        for row in rows("aider-polyglot-2025.csv")
        if float(row["total_cost_usd"] or 0) > 0
    ]
    known.sort(key=lambda option: option.dollars)
    size = len(known)
    for place, (_, dollars, middle, best) in enumerate(carried("AIDER")):
        fifth = known[place * size // 5 : (place + 1) * size // 5]
        assert dollars == pytest.approx(median(each.dollars for each in fifth), abs=5e-5)
        assert middle == pytest.approx(median(each.quality for each in fifth), abs=0.051)
        assert best == max(each.quality for each in fifth)
    two = front([Option(each.name, each.quality, each.dollars) for each in known])
    assert list(carried("AIDER_FRONT").values()) == [size, len(two), len(front(known))]

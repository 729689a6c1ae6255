"""Simulated skill does what its one formula says."""

from __future__ import annotations

import random

import pytest

from labkit.errors import UserError
from labkit.sim.skill import attempted, score


@pytest.mark.parametrize("auc", [0.5, 0.6, 0.82, 0.98])
def test_a_verifier_has_the_auc_it_was_given(auc: float) -> None:
    """A right answer is scored above a wrong one in this share of pairs."""
    dice = random.Random(1)
    pairs = [(score(True, auc, dice), score(False, auc, dice)) for _ in range(4000)]
    assert sum(right > wrong for right, wrong in pairs) / len(pairs) == pytest.approx(auc, abs=0.02)
    assert all(0 <= each <= 1 for pair in pairs for each in pair)


def test_more_skill_is_right_more_often() -> None:
    """In order of skill, the same for the same seed, and half at skill 0."""
    rows = attempted([-1, 0, 3], auc=0.8, tasks=4000, seed=2)
    shares = [sum(row[place].right for row in rows) / len(rows) for place in range(3)]
    assert shares == sorted(shares)
    assert shares[1] == pytest.approx(0.5, abs=0.02)
    assert rows == attempted([-1, 0, 3], auc=0.8, tasks=4000, seed=2)


@pytest.mark.parametrize("auc", [0.49, 1.0, -1, float("nan")])
def test_a_verifier_that_cannot_be_is_refused(auc: float) -> None:
    """A perfect one would need an endless distance."""
    with pytest.raises(UserError, match="AUC"):
        score(True, auc, random.Random(1))

"""A cascade on paper, its threshold, and what it saves on simulated and on real outcomes."""

from __future__ import annotations

import csv
import random
from itertools import product
from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import role
from labkit.pricing import Usage, cost
from labkit.routing.bounds import bootstrap
from labkit.routing.cascades import Case, Tried, choose_thresholds, coverage, play
from labkit.sim.skill import attempted, score

REAL = Path(__file__).parents[2] / ".." / "shared" / "data" / "routing-gsm8k-outcomes.csv"
ROLES = ("fast", "balanced", "strong")

tried = st.builds(Tried, st.booleans(), st.floats(0, 1), st.floats(0, 1), st.floats(0, 9))
cases = st.integers(2, 4).flatmap(
    lambda models: st.lists(
        st.lists(tried, min_size=models, max_size=models), min_size=1, max_size=30
    )
)


def two(right: bool, score: float, strong: bool = True) -> Case:
    """A task for two models: the cheap one costs 1, the strong one 10 dollars."""
    return [Tried(right, score, 1.0, 2.0), Tried(strong, 0.0, 10.0, 5.0)]


def test_the_cheap_call_is_always_paid() -> None:
    """One accepted, one escalated: 1 and 1 + 10 dollars, 2 and 2 + 5 seconds."""
    played = play([two(True, 0.9), two(False, 0.1)], [0.5])
    assert (played.dollars, played.seconds) == (6.0, 4.5)
    assert (played.quality, played.shares) == (1.0, (0.5, 0.5))


@given(cases)
def test_thresholds_at_the_ends_are_the_single_models(drawn: list[Case]) -> None:
    """Accept all, and the first model has every last word; accept nothing, and the last has."""
    steps = len(drawn[0]) - 1
    first, last = play(drawn, [-inf] * steps), play(drawn, [inf] * steps)
    size = len(drawn)
    assert first.quality == sum(case[0].right for case in drawn) / size
    assert first.dollars == pytest.approx(sum(case[0].dollars for case in drawn) / size)
    assert last.quality == sum(case[-1].right for case in drawn) / size
    assert last.dollars == pytest.approx(sum(t.dollars for case in drawn for t in case) / size)


@given(cases, st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0, 1))
def test_a_stricter_cascade_never_costs_less(
    drawn: list[Case], thresholds: list[float], more: float
) -> None:
    """Every threshold raised sends more tasks on."""
    chosen = thresholds[: len(drawn[0]) - 1]
    loose, strict = play(drawn, chosen), play(drawn, [each + more for each in chosen])
    assert loose.dollars <= strict.dollars + 1e-9
    assert sum(loose.shares) == pytest.approx(1)


def test_a_cascade_without_cases_or_thresholds_is_refused() -> None:
    """Nothing can be said about nothing."""
    for drawn, thresholds in (([], [0.5]), ([two(True, 1)], []), ([two(True, 1)], [0.1, 0.2])):
        with pytest.raises(ValueError, match="threshold"):
            play(drawn, thresholds)
    with pytest.raises(ValueError, match="nothing to choose"):
        choose_thresholds([], most_harm=0.1)


def test_risk_grows_with_coverage_where_the_verifier_knows() -> None:
    """Strictest first: few accepted and hardly any wrong, all accepted and the model's own risk."""
    rows = attempted([1.0], auc=0.9, tasks=1000, seed=4)
    points = coverage([row[0].score for row in rows], [row[0].right for row in rows], points=10)
    shares = [point.coverage for point in points]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert points[-1].risk == sum(not row[0].right for row in rows) / 1000
    assert points[0].risk < points[-1].risk / 3
    assert all(point.risk <= point.risk_at_most for point in points)


def test_a_chosen_threshold_keeps_its_promise() -> None:
    """Of 30 calibrations few go wrong on fresh traffic, and they accept more than half."""
    fresh = _simulated(0.9, seed=99, tasks=3000, skills=(1.5, 4.0))
    broken, accepted = 0, []
    for seed in range(30):
        drawn = _simulated(0.9, seed=seed, tasks=300, skills=(1.5, 4.0))
        (choice,) = choose_thresholds(drawn, most_harm=0.05, confidence=0.9)
        harms = sum(
            case[0].score >= choice.threshold and case[-1].right and not case[0].right
            for case in fresh
        )
        broken += harms / len(fresh) > 0.05
        accepted.append(choice.accepted)
        assert choice.harm_at_most <= 0.05
    assert broken <= 0.1 * 30 + 3
    assert sum(accepted) / 30 > 0.3


def test_too_small_a_calibration_set_accepts_nothing() -> None:
    """Ten right answers do not prove a harm below one in a hundred."""
    (choice,) = choose_thresholds([two(True, 0.9)] * 10, most_harm=0.01)
    assert (choice.threshold, choice.accepted) == (inf, 0.0)
    (choice,) = choose_thresholds([two(True, 0.9)] * 1000, most_harm=0.01)
    assert (choice.threshold, choice.accepted) == (0.9, 1.0)


def _simulated(auc: float, *, seed: int, tasks: int, skills: tuple[float, ...]) -> list[Case]:
    prices = [
        float(cost(role(name), Usage(input_tokens=1500, output_tokens=300)))
        for name in (ROLES if len(skills) == 3 else ROLES[::2])
    ]
    rows = attempted(skills, auc=auc, tasks=tasks, seed=seed)
    return [
        [Tried(each.right, each.score, price) for each, price in zip(row, prices, strict=True)]
        for row in rows
    ]


def _saved_at_equal_quality(auc: float) -> float:
    """Return the best saving of any two thresholds that lose half a point at most."""
    drawn = _simulated(auc, seed=1, tasks=1500, skills=(1.5, 2.75, 4.0))
    strong = sum(case[-1].right for case in drawn) / len(drawn)
    dollars = drawn[0][-1].dollars
    played = [play(drawn, pair) for pair in product([n / 10 for n in range(11)], repeat=2)]
    fine = [1 - each.dollars / dollars for each in played if each.quality >= strong - 0.005]
    return max(fine, default=-inf)


def test_savings_depend_on_the_verifier() -> None:
    """Three tiers at list prices, 1,500 tokens in and 300 out (resilience.md 3.6).

    At an AUC of 0.98 most of the money is saved, at 0.82 some, and at 0.60 none: whatever keeps
    the quality costs more than the strong model alone.
    """
    sharp, middling, blunt = map(_saved_at_equal_quality, (0.98, 0.82, 0.60))
    assert 0.70 < sharp < 0.85
    assert 0.10 < middling < 0.40
    assert blunt < 0


def _real(auc: float, seed: int) -> list[Case]:
    """Real outcomes of a weak and a strong model, with the verdicts of a simulated verifier.

    Prices are those of today's fast and strong model for texts of these lengths.
    """
    dice = random.Random(seed)

    def dollars(name: str, question: str, answer: str) -> float:
        tokens = round(int(question) / 2.5), round(int(answer) / 2.5)
        return float(cost(role(name), Usage(input_tokens=tokens[0], output_tokens=tokens[1])))

    with REAL.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    dice.shuffle(rows)
    drawn: list[Case] = []
    for row in rows:
        weak, strong = row["weak_correct"] == "1", row["strong_correct"] == "1"
        asked = row["question_chars"]
        cheap = dollars("fast", asked, row["weak_answer_chars"])
        dear = dollars("strong", asked, row["strong_answer_chars"])
        drawn.append([Tried(weak, score(weak, auc, dice), cheap), Tried(strong, 0.0, dear)])
    return drawn


needs_real = pytest.mark.skipif(not REAL.exists(), reason=f"{REAL.name} is not here")


@needs_real
@pytest.mark.parametrize(
    ("auc", "least", "most", "lost"),
    [(0.98, 0.40, 0.65, 0.0), (0.82, 0.15, 0.35, 0.0), (0.60, 0.0, 0.15, 0.03)],
)
def test_savings_on_real_outcomes(auc: float, least: float, most: float, lost: float) -> None:
    """Chosen on one half for a harm of 3 % at most, tried on the other half, with an interval.

    With a good verifier about half is saved and the quality is even higher, as the weak model is
    right where the strong one is not; with a middling one a quarter at equal quality; a blunt
    one loses up to the 3 % for next to nothing.

    1,319 questions of GSM8K: both models right 747 times, only the strong one 383, only the weak
    one 95 (figures derived from lm-sys/RouteLLM at b469a11).
    """
    drawn = _real(auc, seed=5)
    half = len(drawn) // 2
    (choice,) = choose_thresholds(drawn[:half], most_harm=0.03)
    tested = drawn[half:]
    played = play(tested, [choice.threshold])
    strong = sum(case[-1].right for case in tested) / len(tested)
    alone = sum(case[-1].dollars for case in tested) / len(tested)
    saved = [1 - (play([case], [choice.threshold]).dollars) / alone for case in tested]
    low, high = bootstrap(saved, rounds=300)
    assert played.quality >= strong - lost
    assert least < low < 1 - played.dollars / alone < high < most


@needs_real
def test_a_route_by_length_alone_is_no_better_than_chance_on_real_outcomes() -> None:
    """How long a question is says little about how hard it is: short ones first, at half."""
    with REAL.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    lengths = [float(row["question_chars"]) for row in rows]
    weak = [row["weak_correct"] == "1" for row in rows]
    points = coverage([-length for length in lengths], weak, points=2)
    assert points[-1].risk == pytest.approx(477 / 1319)
    assert 0.5 * points[-1].risk < points[0].risk < points[-1].risk

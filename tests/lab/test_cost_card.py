"""The card at the top of a lesson says what running it costs."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from labkit.lab.cost_card import CostCard, cost_card
from labkit.lab.session import Lab
from labkit.pricing import Usage, cost


@pytest.fixture(autouse=True)
def _project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project with folders for lessons and recordings, and nothing in them."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "cassettes").mkdir()
    monkeypatch.chdir(tmp_path)


def recorded(max_tokens: int, questions: int = 1) -> Decimal:
    """Record a lesson of so many questions and return what they cost."""
    lab = Lab("77-cost", mode="record")
    client = lab.client("questions")
    for number in range(questions):
        words = f"Question {number}"
        client.messages.create(
            model=lab.model("fast"),
            max_tokens=max_tokens,
            messages=[{"role": "user", "content": words}],
        )
    lab.close()
    return lab.ledger.total()


def test_the_estimate_is_what_the_recorded_requests_used() -> None:
    """Pricing the recordings gives the ledger's sum of the run that made them."""
    spent = recorded(max_tokens=200, questions=2)
    assert cost_card(Lab("77-cost"), minutes=5).about == spent > 0


def test_the_bound_covers_every_answer_at_full_length() -> None:
    """All of max_tokens fits under it twice for each request, and it is a whole cent."""
    recorded(max_tokens=20_000, questions=2)
    bound = cost_card(Lab("77-cost"), minutes=5).never_above
    full = 2 * 2 * cost(Lab("77-cost").model("fast"), Usage(output_tokens=20_000))
    assert bound is not None
    assert full < bound < full + Decimal("0.02")
    assert bound == bound.quantize(Decimal("0.01"))


def test_scripted_scenes_cost_nothing_live() -> None:
    """Only the cassettes named are counted, because only their calls leave in live mode."""
    spent = recorded(max_tokens=200, questions=2)
    lab = Lab("77-cost")
    assert cost_card(lab, minutes=5, live=["questions"]).about == spent
    assert cost_card(lab, minutes=5, live=["another"]).about is None


def test_counting_tokens_adds_nothing() -> None:
    """A call that is free is free at its worst, too."""
    lab = Lab("77-cost", mode="record")
    lab.client("counting").messages.count_tokens(
        model=lab.model("strong"), messages=[{"role": "user", "content": "How long am I?"}]
    )
    lab.close()
    card = cost_card(Lab("77-cost"), minutes=5)
    assert (card.about, card.never_above) == (Decimal(0), Decimal(0))


def test_a_lesson_without_recordings_has_no_figures_yet() -> None:
    """Unknown is said in words and is never zero."""
    card = cost_card(Lab("77-cost", mode="simulate"), minutes=5)
    assert (card.about, card.never_above) == (None, None)
    assert "known once" in repr(card)


def test_the_card_names_the_budget_that_is_enough() -> None:
    """What live mode is to be told stands beside what it means."""
    card = CostCard(12, Decimal("0.000123"), Decimal("0.04"))
    assert "about $0.00012; with LABKIT_BUDGET=0.04 never above $0.04" in repr(card)

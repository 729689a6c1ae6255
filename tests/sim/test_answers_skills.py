"""Classification and arithmetic: the right answer, as often as the model's skill says."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.answers import SKILLS, Skill, compose
from labkit.sim.answers.classification import read_labels

MODELS = {"haiku": "claude-haiku-5-5", "sonnet": "claude-sonnet-5-5", "opus": "claude-opus-5-5"}
SURE = {"sonnet": Skill(right=1.0, facts_kept=9, fact_loss=0.0)}
NEVER = {"sonnet": Skill(right=0.0, facts_kept=9, fact_loss=0.0)}
MAIL = (
    "Classify this mail as one of: billing (invoice, refund), outage (down, slow), other.\nMail: "
)


def said(turn: str, *, name: str = "claude-sonnet-5-5", seed: int = 0, **options: Any) -> str:
    """Return the text said to a turn."""
    messages = [{"role": "user", "content": turn}]
    body = {"model": name, "max_tokens": 100, "messages": messages}
    return str(compose(body, random.Random(0), seed=seed, **options).content[0]["text"])


@pytest.mark.parametrize(
    ("turn", "labels"),
    [
        ("Classify it as one of: a, b, c", ["a", "b", "c"]),
        ("Please classify the mood as one of positive, negative or neutral.", None),
        ("classify this as one of: 'spam', \"ham\"\nText: one of: x, y", ["spam", "ham"]),
        ("Classify as one of: billing (invoice, refund), other (x)", ["billing", "other"]),
        ("Classify as one of: good; bad, and unsure", ["good", "bad", "unsure"]),
    ],
)
def test_labels_are_read_from_the_question(turn: str, labels: list[str] | None) -> None:
    """Labels are divided by commas, semicolons and "or"; cues in brackets are no labels."""
    assert list(read_labels(turn) or ()) == (labels or ["positive", "negative", "neutral"])


@pytest.mark.parametrize(
    "turn", ["Classify this.", "One of: a, b", "Classify as one of: a", "one of: a, b to classify"]
)
def test_what_offers_no_choice_is_no_classification(turn: str) -> None:
    """It takes the verb, then at least two labels."""
    assert read_labels(turn) is None


@pytest.mark.parametrize(
    ("mail", "label"),
    [
        ("I want a refund, the invoice is wrong.", "billing"),
        ("The site is down. Down! It was slow, and my invoice never came.", "outage"),
        ("This is an outage.", "outage"),
        ("Another thing, or other things. Other!", "other"),
    ],
)
def test_the_right_label_is_the_one_the_text_names_most(mail: str, label: str) -> None:
    """Labels and their cues are counted as whole words, in any case of letters."""
    assert said(MAIL + mail, skills=SURE) == label
    assert said(MAIL + mail, skills=NEVER) in {"billing", "outage", "other"} - {label}


def test_a_text_that_names_nothing_has_one_right_label_for_all() -> None:
    """Stronger models agree on it, so it counts as right."""
    turn = MAIL + "Hm."
    labels = {said(turn, skills=SURE), said(turn, skills=SURE, seed=9)}
    sure = {line: Skill(1.0, 9, 0.0) for line in MODELS}
    labels |= {said(turn, name=name, skills=sure) for name in MODELS.values()}
    assert len(labels) == 1


@pytest.mark.parametrize(
    ("turn", "result"),
    [
        ("What is 17 + 25?", "42"),
        ("what's 17-25", "-8"),
        ("How much is 12 * 12? Think.", "144"),
        ("Please calculate -3 x 1,000.", "-3000"),
        ("Compute 6 \u00d7 7", "42"),
        ("What is 5 \u2212 \u22127?", "12"),
        ("Work out 999999999999999 + 1", "1000000000000000"),
    ],
)
def test_sums_differences_and_products(turn: str, result: str) -> None:
    """The number stands alone, so that a program can read it."""
    assert said(turn, skills=SURE) == result
    wrong = said(turn, skills=NEVER)
    assert wrong != result
    assert int(wrong) != int(result)


@pytest.mark.parametrize(
    "turn",
    [
        "What is 17?",
        "What is 17 + x?",
        "What is 1 + 2 + 3?",
        "What is 1.5 + 2?",
        "17 + 25",
        "1+2.5",
    ],
)
def test_what_is_no_plain_sum_gets_the_usual_answer(turn: str) -> None:
    """Two whole numbers and a question, no more."""
    assert said(turn).startswith("Simulated answer to")


@given(st.integers(-(10**12), 10**12), st.sampled_from("+-*"), st.integers(0, 10**12))
def test_a_sure_model_calculates_and_one_without_skill_never_does(
    left: int, sign: str, right: int
) -> None:
    """With every skill it is right, with none it is wrong."""
    result = {"+": left + right, "-": left - right, "*": left * right}[sign]
    assert said(f"What is {left} {sign} {right}?", skills=SURE) == str(result)
    assert said(f"What is {left} {sign} {right}?", skills=NEVER) != str(result)


@pytest.mark.parametrize("line", MODELS)
def test_skill_is_the_share_that_is_right(line: str) -> None:
    """Over many questions each line of models is right as often as is stated."""
    name, many = MODELS[line], 2000
    sums = [said(f"What is {n} + 1?", name=name) == str(n + 1) for n in range(many)]
    mails = [said(f"{MAIL}{n}. A refund!", name=name) == "billing" for n in range(many)]
    for right in (sums, mails):
        assert sum(right) / many == pytest.approx(SKILLS[line].right, abs=0.025)


def test_asking_again_does_not_help() -> None:
    """Whether an answer is right depends on question, model and seed, not on the turn of luck."""
    wrong = next(n for n in range(99) if said(f"What is {n} + 1?") != str(n + 1))
    turn = f"What is {wrong} + 1?"
    assert {said(turn, number=number) for number in range(1, 20)} == {said(turn)}
    assert {said(turn, seed=seed) for seed in range(20)} >= {said(turn), str(wrong + 1)}

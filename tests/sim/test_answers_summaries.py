"""Summaries keep or lose planted facts in a way that can be counted."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.answers import SKILLS, Composed, Skill, compose
from labkit.sim.answers.facts import facts_in

MODELS = {"haiku": "claude-haiku-5-5", "sonnet": "claude-sonnet-5-5", "opus": "claude-opus-5-5"}
NAME = "claude-sonnet-5-5"
PERFECT = {"sonnet": Skill(right=1.0, facts_kept=10_000, fact_loss=0.0)}


def compress(
    *turns: str, asked: str = "Summarise our talk.", most: int = 2000, **options: Any
) -> Composed:
    """Return what is said when turns of a user are to be summed up."""
    messages = [{"role": "user", "content": each} for each in (*turns, asked)]
    body = {"model": NAME, "max_tokens": most, "messages": messages}
    body |= {name: options.pop(name) for name in ("model", "system") if name in options}
    return compose(body, random.Random(0), **options)


def text(composed: Composed) -> str:
    """Return the words."""
    return str(composed.content[0]["text"])


def kept(composed: Composed) -> list[str]:
    """Return the facts that a summary holds."""
    return facts_in([text(composed)])


@pytest.mark.parametrize(
    ("said", "facts"),
    [
        ("FACT: the invoice is due on Friday. Do not forget.", ["the invoice is due on Friday"]),
        ("Hello, my name is Ada, and I am well.", ["my name is Ada"]),
        ("My dog is Rex and my cat is Tom.", ["my Dog is Rex".lower(), "my cat is Tom"]),
        ("FACT: total 3.50 euro; FACT: ship to 12 Elm Road\nThanks", None),
        ("FACT: my name is Ada. My name is Bo.", ["my name is Bo"]),
        ("FACT: tea. FACT: Tea.", ["Tea"]),
        ("What is my name? My oh my, this is it. FACT:", []),
    ],
)
def test_facts_are_found_where_they_are_planted(said: str, facts: list[str] | None) -> None:
    """A fact ends with its sentence, and a later one about the same thing replaces it."""
    expected = ["total 3.50 euro", "ship to 12 Elm Road"] if facts is None else facts
    assert [fact.lower() for fact in facts_in([said])] == [fact.lower() for fact in expected]


@pytest.mark.parametrize(
    "asked",
    [
        *("Summarise this.", "please SUMMARIZE", "Condense it", "A recap?"),
        *("Write me a short summary", "Give me a long SUMMARY", "\u017fummarise it in old letters"),
    ],
)
def test_a_summary_is_asked_for_in_words(asked: str) -> None:
    """Any of the words will do, in any case of letters."""
    assert text(compress("My name is Ada.", asked=asked)).startswith("Simulated summary of 2 turns")


@pytest.mark.parametrize("asked", ["What was that summary?", "The summary helps, give me more."])
def test_speaking_of_a_summary_is_not_asking_for_one(asked: str) -> None:
    """The noun alone is no order."""
    assert text(compress("Hello.", asked=asked)).startswith("Simulated answer to")


def test_the_system_prompt_may_make_a_summariser() -> None:
    """A program whose whole task is to summarise says so once."""
    composed = compress("My name is Ada.", asked="Go.", system="Summarise what you are given.")
    assert kept(composed) == ["my name is Ada"]
    noun = compress("Hello.", asked="Go.", system="Summary of the talk so far: nothing.")
    assert text(noun).startswith("Simulated answer to")


def test_a_perfect_memory_keeps_every_fact_in_order() -> None:
    """With room for all and no loss, nothing is forgotten."""
    turns = [f"Day {n}. FACT: the code of door {n} is {n * 7}." for n in range(60)]
    expected = [f"the code of door {n} is {n * 7}" for n in range(60)]
    assert kept(compress(*turns, skills=PERFECT)) == expected


def test_a_full_memory_forgets_the_oldest() -> None:
    """Of more facts than there is room for, the newest stay."""
    turns = [f"FACT: number {n}." for n in range(9)]
    small = {"sonnet": Skill(right=1.0, facts_kept=4, fact_loss=0.0)}
    assert kept(compress(*turns, skills=small)) == [f"number {n}" for n in range(5, 9)]


@pytest.mark.parametrize("line", MODELS)
def test_facts_are_lost_as_often_as_is_stated(line: str) -> None:
    """Over many summaries, each fact within reach is lost with the stated chance."""
    many, told, skill = 600, 3, SKILLS[line]
    counts = [
        len(kept(compress(*(f"FACT: {n} and {k}." for k in range(told)), model=MODELS[line])))
        for n in range(many)
    ]
    assert 1 - sum(counts) / many / told == pytest.approx(skill.fact_loss, abs=0.02)
    full = compress(*(f"FACT: {k}." for k in range(99)), model=MODELS[line])
    assert len(kept(full)) <= skill.facts_kept


def test_the_same_request_gets_the_same_summary_and_another_forgets_otherwise() -> None:
    """Losses depend on the whole request, so that a summary of summaries loses more each time."""
    turns = [f"FACT: number {n}." for n in range(12)]
    assert compress(*turns) == compress(*turns, number=5)
    seen = {tuple(kept(compress(*turns, f"Day {day}."))) for day in range(20)}
    assert len(seen) > 5


def test_what_a_summary_kept_is_remembered_in_the_next_conversation() -> None:
    """The facts come in words that a later question finds again."""
    summary = text(compress("Hello, my name is Ada.", skills=PERFECT))
    asked = [{"role": "user", "content": f"{summary}\nWhat is my name?"}]
    body = {"model": NAME, "max_tokens": 50, "messages": asked}
    assert text(compose(body, random.Random(0))) == "Simulated answer. Your name is Ada."


def test_facts_in_tool_results_and_answers_count() -> None:
    """Whoever said it, it was said."""
    messages = [
        {"role": "user", "content": "Look it up."},
        {"role": "assistant", "content": "FACT: the answer came late."},
        {"role": "user", "content": [{"type": "tool_result", "content": "FACT: stock 4."}]},
        {"role": "user", "content": "Summarise."},
    ]
    body = {"model": NAME, "max_tokens": 100, "messages": messages}
    composed = compose(body, random.Random(0), skills=PERFECT)
    assert kept(composed) == ["the answer came late", "stock 4"]


@given(st.integers(0, 40), st.integers(0, 400))
def test_a_summary_fits_max_tokens_and_gives_up_the_oldest_facts(count: int, most: int) -> None:
    """It is planned to fit: facts that do not are left out, oldest first, and none is cut."""
    turns = [f"Lorem ipsum dolor {n} sit amet. FACT: number {n}." for n in range(count)]
    composed = compress(*turns, most=most, skills=PERFECT)
    assert composed.output_tokens <= most
    if composed.stop_reason == "end_turn":
        found = kept(composed)
        assert found == [f"number {n}" for n in range(count - len(found), count)]


def test_length_follows_max_tokens() -> None:
    """More room is filled with what was spoken of, up to a quarter of what was said."""
    turns = [f"Chapter {n} tells of ships, storms and long waits. " * 8 for n in range(30)]
    lengths = [compress(*turns, most=most).output_tokens for most in (20, 100, 400, 100_000)]
    assert lengths == sorted(set(lengths))
    said = compress(*turns, most=100_000)
    assert said.output_tokens <= len(" ".join(turns)) / 2.5 / 4
    assert "Spoken of: Chapter 0" in text(said)


def test_what_is_forgotten_does_not_come_back_as_a_topic() -> None:
    """A fact that is lost is lost from all of the summary."""
    forgetful = {"sonnet": Skill(right=1.0, facts_kept=0, fact_loss=0.0)}
    turns = ["My name is Ada. Ships sail on.", "FACT: Rex barks.", "Waves and wind."] * 9
    said = text(compress(*turns, skills=forgetful))
    assert "Ada" not in said
    assert "Rex" not in said
    assert "Ships sail on." in said

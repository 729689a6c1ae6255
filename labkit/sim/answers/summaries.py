"""Summaries that keep or lose planted facts, so that a lesson can measure what forgetting costs.

A request asks for a summary if the user's last turn says "summarise", "condense", "recap" or
"write (give, make, ...) a summary", or if the system prompt says "summarise" or "condense".

A model keeps its `facts_kept` newest facts, and loses each of those with the chance `fact_loss`
(`labkit.sim.answers.skills`), by dice that depend on the whole request: the same request gets
the same summary, and a summary of summaries forgets a little more each time.  What does not
fit `max_tokens` is lost too, oldest first.  Each fact comes as "FACT: ...", so that it can be
found again; the rest of the length, up to a quarter of the text summed up, names topics.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from labkit.sim.answers.facts import FACT, facts_in, without_facts
from labkit.sim.answers.skills import Skill
from labkit.sim.answers.turns import conversation, last_user_turn, system_text, user_turns
from labkit.sim.dice import Dice
from labkit.sim.tokens import count_text

__all__ = ["summary", "wants_summary"]

VERBS = re.compile(r"\b(?:summari[sz]e|condense)\b", re.IGNORECASE)
ASKED = re.compile(
    r"\b(?:summari[sz]e|condense|recap|(?:write|give|make|provide|produce|create|update|send)\b"
    r"[^.?!\n]{0,40}\bsummary)\b",
    re.IGNORECASE,
)
STEMS = ("summar", "condense", "recap")
"""Without one of them nothing is asked, and to find that out takes a hundredth of the time."""
SIMULATED = re.compile(r"Simulated (?:summary|answer)\b[^.]{0,200}\.")
TOPIC_WORDS = 6
MOST_LENGTH = 0.25
"""Of the text summed up; facts are kept beyond it."""


def wants_summary(body: Mapping[str, Any]) -> bool:
    """Say whether a request asks for a summary."""
    return _finds(ASKED, last_user_turn(body)) or _finds(VERBS, system_text(body))


def _finds(asked: re.Pattern[str], text: str) -> bool:
    folded = text.casefold()
    return any(stem in folded for stem in STEMS) and asked.search(text) is not None


def summary(body: Mapping[str, Any], skill: Skill, *, seed: int) -> str:
    """Return the summary of everything the request holds."""
    name, texts = str(body["model"]), conversation(body)
    turns = len(body["messages"])
    head = f"Simulated summary of {turns} turn{'' if turns == 1 else 's'}."
    most = int(body["max_tokens"])
    facts: list[str] = []
    for fact in reversed(_kept(texts, skill, f"{seed}/{name}")):
        if count_text(_joined(head, [fact, *facts]), name) > most:
            break
        facts.insert(0, fact)
    text = _joined(head, facts)
    room = min(most, int(sum(count_text(each, name) for each in texts) * MOST_LENGTH))
    return text + _topics(body, room, text, name)


def _joined(head: str, facts: list[str]) -> str:
    return " ".join([head, *(f"{FACT}{fact}." for fact in facts)])


def _kept(texts: list[str], skill: Skill, name: str) -> list[str]:
    """Return the facts that memory has room for and the dice leave."""
    digest = blake2b("\n".join(texts).encode(), digest_size=16).hexdigest()
    facts = facts_in(texts)
    newest = facts[max(0, len(facts) - skill.facts_kept) :]
    return [
        fact
        for fact in newest
        if Dice(0, 0, f"summary/{name}/{digest}/{fact}").random() >= skill.fact_loss
    ]


def _topics(body: Mapping[str, Any], room: int, text: str, name: str) -> str:
    """Name what the user's turns began with, as far as there is room."""
    topics: list[str] = []
    for turn in user_turns(body)[:-1]:
        words = SIMULATED.sub(" ", without_facts(turn)).split()[:TOPIC_WORDS]
        if not words:
            continue
        more = f" Spoken of: {'; '.join([*topics, ' '.join(words)])}."
        if count_text(text + more, name) > room:
            break
        topics.append(" ".join(words))
    return f" Spoken of: {'; '.join(topics)}." if topics else ""

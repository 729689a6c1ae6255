"""Facts planted in a text: what a summary may keep or lose, and a lesson can count.

    FACT: the invoice is due on Friday.       to the end of the sentence or the line
    Hello, my dog is called Rex               "my <thing> is <value>", to the next punctuation

Two sentences about the same thing are one fact, and the later one holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["FACT", "facts_in", "without_facts"]

FACT = "FACT: "
END = r"(?:[^.;!?\n]|[.](?=\S)){1,300}"
PLANTED = re.compile(rf"\bFACT:[ \t]*({END})[.;!?]?")
MINE = re.compile(
    r"\bmy ([a-z][a-z ]{0,59}?) is ((?:(?! and my )(?:[^.,:;!?\n]|[.,:](?=\S))){1,120})[.]?",
    re.IGNORECASE,
)


def facts_in(texts: Iterable[str]) -> list[str]:
    """Return the facts of some texts in order, each as last told, without its full stop."""
    facts: dict[str, str] = {}
    for text in texts:
        for _, key, fact in sorted(_found(text)):
            facts.pop(key, None)
            facts[key] = fact
    return list(facts.values())


def without_facts(text: str) -> str:
    """Return a text with its facts taken out."""
    return MINE.sub(" ", PLANTED.sub(" ", text))


def _found(text: str) -> Iterable[tuple[int, str, str]]:
    """Yield (place, what it is about, the fact) for each planted sentence."""
    planted: list[tuple[int, int]] = []
    for match in PLANTED.finditer(text):
        planted.append(match.span())
        fact = " ".join(match.group(1).split())
        mine = MINE.match(fact)
        if fact:
            yield match.start(), mine.group(1).lower() if mine else fact.lower(), fact
    for match in MINE.finditer(text):
        if not any(start <= match.start() < end for start, end in planted):
            value = " ".join(match.group(2).split())
            yield match.start(), match.group(1).lower(), f"my {match.group(1)} is {value}"

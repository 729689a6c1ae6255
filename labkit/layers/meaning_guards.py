"""Guards of a semantic cache: differences of a word that turn an answer round.

Similar vectors do not tell "with" from "without", 30 from 300 or Ann from Anna.  So two questions
count as one only where their numbers, negations and names agree, and where they are alike beyond
the template that both begin with (resilience.md 2.5).  The words are English.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

__all__ = ["guarded", "shared_start"]

NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*%?")
NAME = re.compile(r"\b[A-Z][\w'-]*")
OPENS = re.compile(r"(?:^|[.!?:\n]\s*|[\"'(]\s*)$")
"""What stands before a capital that only begins a sentence."""
NEGATIONS = frozenset(
    {
        *("no", "not", "never", "none", "nobody", "nothing", "neither", "nor", "non", "cannot"),
        *("isn't", "aren't", "wasn't", "weren't", "don't", "doesn't", "didn't", "won't", "can't"),
        *("wouldn't", "couldn't", "shouldn't", "hasn't", "haven't", "with", "without", "except"),
        *(
            "unless",
            "exclude",
            "excluding",
            "include",
            "including",
            "enable",
            "disable",
            "on",
            "off",
        ),
        *("before", "after", "more", "less", "most", "least", "increase", "decrease", "under"),
        *("over", "maximum", "minimum", "allow", "deny"),
    }
)
"""Words that turn a question round, or have an opposite that stands in the same place."""
WORD = re.compile(r"[\w']+")


def guarded(one: str, other: str) -> str:
    """Return which guard keeps two questions apart, "" if none does."""
    for name, found in (("numbers", _numbers), ("negation", _negations), ("names", _names)):
        if found(one) != found(other):
            return name
    return ""


def _numbers(text: str) -> Counter[str]:
    return Counter(NUMBER.findall(text))


def _negations(text: str) -> Counter[str]:
    words = WORD.findall(text.casefold().replace("\u2019", "'"))
    return Counter(word for word in words if word in NEGATIONS)


def _names(text: str) -> set[str]:
    found = set()
    for name in NAME.finditer(text):
        alone = name.group() != "I" and not OPENS.search(text[: name.start()])
        if alone or (name.group().isupper() and len(name.group()) > 1):
            found.add(name.group().removesuffix("'s"))
    return found


def shared_start(texts: Iterable[str]) -> str:
    """Return the whole words that all texts begin with: the template that says nothing of them."""
    known = set(texts)
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    same = next((at for at, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    return low[: max(low.rfind(space, 0, same) for space in " \n\t") + 1]

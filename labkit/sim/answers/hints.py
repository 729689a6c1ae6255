"""What a request offers to fill a form with: things told by name, words, numbers, a result.

A tool's input and a JSON answer are made to fit their schema; where the request holds a
fitting value, that one is used, so that "What is the weather in Berlin?" asks for Berlin.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.sim.answers.facts import facts_in
from labkit.sim.answers.turns import last_user_turn, user_turns

__all__ = ["Hints", "read_hints"]

QUOTED = re.compile(r"(?<!\w)[\"“']([^\"“”'\n]{1,80})[\"”'](?!\w)")
NAME = re.compile(r"(?<=[\w,:]\s)(?!I\b)[A-ZÀ-ÖØ-Þ][\w-]*(?:\s[A-ZÀ-ÖØ-Þ][\w-]*)*")
NUMBER = re.compile(r"(?<![\w.])-?\d{1,15}(?:\.\d{1,6})?(?![\w]|\.\d)")
MY = re.compile(r"my ([a-z][a-z ]*?) is (.*)", re.IGNORECASE | re.DOTALL)
MOST = 20
"""Words and numbers of either kind that are looked at."""


@dataclass(frozen=True, slots=True)
class Hints:
    """Values to fill a form with.

    `results` go first wherever they fit; `told` are values by the name of a field, in lower
    case with spaces for underscores; `words` are quoted or capitalised, `numbers` written out.
    """

    results: tuple[str, ...] = ()
    told: Mapping[str, str] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()

    def texts(self, name: str) -> Iterator[str]:
        """Yield what may stand in a text field of this name, the best first."""
        yield from self.results
        field_name = name.replace("_", " ").lower()
        if field_name in self.told:
            yield self.told[field_name]
        yield from self.words

    def figures(self, name: str) -> Iterator[float]:
        """Yield what may stand in a number field of this name, the best first."""
        for text in self.texts(name):
            if NUMBER.fullmatch(text):
                yield _figure(text)
        yield from self.numbers


def read_hints(body: Mapping[str, Any], results: tuple[str, ...] = ()) -> Hints:
    """Read the hints of a request; `results` are what it was found to ask for."""
    told: dict[str, str] = {}
    for fact in facts_in(user_turns(body)):
        if mine := MY.match(fact):
            told[mine.group(1).lower()] = mine.group(2)
    turn = last_user_turn(body)
    words = [match.group(1) for match, _ in zip(QUOTED.finditer(turn), range(MOST), strict=False)]
    words += [match.group() for match, _ in zip(NAME.finditer(turn), range(MOST), strict=False)]
    found = zip(NUMBER.finditer(turn), range(MOST), strict=False)
    return Hints(results, told, tuple(words), tuple(_figure(match.group()) for match, _ in found))


def _figure(text: str) -> float:
    return float(text) if "." in text else int(text)

"""What a check of an answer comes to: passed, not started, wrong, or broken."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

__all__ = ["Ending", "Verdict", "Wrong"]

Ending = Literal["passed", "not started", "wrong", "broken"]


class Wrong(Exception):
    """The answer misbehaves; the message names the misconception and what was observed."""


@dataclass(frozen=True)
class Verdict:
    """The verdict on one answer; a notebook shows it as a list, a terminal as lines.

    `message` is the one thing to say about an answer that has not passed, with code between
    backticks; `checked` are the checks that it has passed, in words.
    """

    exercise: str
    ending: Ending
    message: str = ""
    checked: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 passed, 1 not started or wrong, 2 where nothing could be judged."""
        return {"passed": 0, "not started": 1, "wrong": 1, "broken": 2}[self.ending]

    @property
    def headline(self) -> str:
        """The verdict in a line."""
        if self.ending == "not started":
            return f"Not {'finished' if self.checked else 'started'} yet: {self.message}"
        if self.ending == "broken":
            return self.message
        return f"Exercise {self.exercise}: {'passed' if self.ending == 'passed' else 'not yet'}."

    def points(self) -> Iterator[tuple[str, str]]:
        """Yield what follows the headline as (sign, words)."""
        if self.ending in ("passed", "wrong"):
            yield from (("✓", words) for words in self.checked)
        if self.ending == "wrong":
            yield "✗", self.message

    def __str__(self) -> str:
        points = (f"  {sign} {words}" for sign, words in self.points())
        return "\n".join([self.headline, *points])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        points = "".join(f"<div>{sign} {_marked_up(words)}</div>" for sign, words in self.points())
        return f"<div><b>{_marked_up(self.headline)}</b></div>{points}"

    def to_json(self) -> str:
        """Return it as JSON, for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Verdict:
        """Return what `to_json` wrote."""
        facts = json.loads(text)
        return cls(**{**facts, "checked": tuple(facts["checked"])})


def _marked_up(words: str) -> str:
    """Return plain words as HTML, with what stands between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", html.escape(words, quote=False))

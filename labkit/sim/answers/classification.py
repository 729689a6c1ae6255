"""Classification: "Classify ... as one of: a, b, c", right as often as the model's skill says.

The right label is the one that the text itself names most often, be it by the label or by one
of its cues, which may stand in brackets behind it:

    Classify this mail as one of: billing (invoice, refund), outage (down, slow), other
    Mail: I want a refund, the invoice is wrong.                            -> billing

A text that names none gets a label by dice of its own, the same from every model.
"""

from __future__ import annotations

import re

from labkit.sim.dice import Dice

__all__ = ["Labels", "classified", "read_labels"]

VERB = re.compile(r"\bclassify\b", re.IGNORECASE)
CHOICE = re.compile(r"\bone of\b:?\s*([^\n.?!]+)", re.IGNORECASE)
BETWEEN = re.compile(r",(?![^()]*\))(?:\s*(?:and|or)\s)?|;|\sor\s(?![^()]*\))")
WITH_CUES = re.compile(r"([^()]*)\(([^()]*)\)?")
QUOTES = " \t\"'`*"

Labels = dict[str, tuple[str, ...]]
"""Labels in the order given, each with the words that speak for it."""


def read_labels(turn: str) -> Labels | None:
    """Return the labels a turn asks to choose from, None if it asks for no such thing."""
    asked = _asked(turn)
    if asked is None:
        return None
    labels: Labels = {}
    for part in BETWEEN.split(asked.group(1)):
        cued = WITH_CUES.match(part)
        name, cues = cued.groups() if cued else (part, "")
        if name := name.strip(QUOTES):
            found = (cue.strip(QUOTES).lower() for cue in cues.split(","))
            labels[name] = (name.lower(), *filter(None, found))
    return labels if len(labels) > 1 else None


def _asked(turn: str) -> re.Match[str] | None:
    """Find the choice after the first "classify": two steps, so that no text takes long."""
    verb = VERB.search(turn)
    return None if verb is None else CHOICE.search(turn, verb.end())


def classified(turn: str, labels: Labels, *, right: float, seed: int, model: str) -> str:
    """Return a label: the right one with the chance `right`, by dice of question and model."""
    best = _right_label(turn, labels)
    dice = Dice(seed, 0, f"classify/{model}/{turn}")
    if dice.random() < right:
        return best
    return dice.some([label for label in labels if label != best], 1)[0]


def _right_label(turn: str, labels: Labels) -> str:
    asked = _asked(turn)
    text = (turn[: asked.start(1)] + turn[asked.end(1) :] if asked else turn).lower()
    scores = {label: sum(_count(cue, text) for cue in cues) for label, cues in labels.items()}
    highest = max(scores.values())
    if highest == 0:
        return Dice(0, 0, f"label/{turn}").some(list(labels), 1)[0]
    return next(label for label, score in scores.items() if score == highest)


def _count(cue: str, text: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(cue)}(?!\w)", text))

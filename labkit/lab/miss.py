"""Say what a cassette miss is about: which cassette, what differs, and what can be done."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

__all__ = ["explain"]

CHOICES = """What you can do:
  1. Undo the change and run the cell again: replay only knows what was recorded.
  2. Run the changed request against the simulated API: set LABKIT_MODE=simulate, or use
     Lab(..., mode="simulate"), then restart the kernel.
  3. With a key of your own, record it anew: labkit record --live --budget 0.50 NOTEBOOK."""

WIDTH, BEFORE = 160, 40
"""How many characters of a line are shown, and how many of them before the first difference."""
Asked = tuple[str, str, str]
"""A request as it is matched: method, path, canonical body."""


def explain(path: Path, recorded: Sequence[Asked], asked: Asked) -> str:
    """Return the message for a request that `recorded` (not empty) cannot answer any more."""
    name = f"{path.parent.name}/{path.name}"
    repeats = sum(each == asked for each in recorded)
    if repeats:
        times = "once" if repeats == 1 else f"{repeats} times"
        return (
            f"The cassette {name} holds this request {times}, and it has been played already. "
            "Nothing was sent.\nRun the cell that makes the client again: that rewinds the "
            f"cassette to its beginning.\n{CHOICES}"
        )
    wanted = _spelled(asked)
    nearest = max(map(_spelled, recorded), key=lambda each: _likeness(each, wanted))
    return (
        f"The cassette {name} has no answer to this request, and nothing was sent.\n"
        f"The nearest recorded request differs in this (- recorded, + asked):\n"
        f"{_difference(nearest, wanted)}\n{CHOICES}"
    )


def _spelled(asked: Asked) -> str:
    method, path, body = asked
    return f"{method} {path}\n{body}"


def _likeness(one: str, other: str) -> tuple[float, float]:
    """Compare by whole lines, and where that says nothing by letters (of not too long texts)."""
    lines = difflib.SequenceMatcher(None, one.splitlines(), other.splitlines()).ratio()
    return lines, difflib.SequenceMatcher(None, one[:2000], other[:2000]).quick_ratio()


def _difference(recorded: str, asked: str, most: int = 20) -> str:
    old, new = recorded.splitlines(), asked.splitlines()
    changes: list[str] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if kind == "equal":
            continue
        before, after = old[a:b], new[c:d]
        for one, other in zip(before, after, strict=False):
            start = max(0, _first_difference(one, other) - BEFORE)
            changes += [f"- {_window(one, start)}", f"+ {_window(other, start)}"]
        paired = min(len(before), len(after))
        changes += [f"- {_window(line, 0)}" for line in before[paired:]]
        changes += [f"+ {_window(line, 0)}" for line in after[paired:]]
    if len(changes) > most:
        changes = [*changes[:most], f"... and {len(changes) - most} more lines"]
    return "\n".join(f"    {line}" for line in changes)


def _first_difference(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _window(line: str, start: int) -> str:
    """Show a long line from `start` on, where it becomes different."""
    shown = line[start : start + WIDTH]
    before, after = "..." if start else "", "..." if len(line) > start + WIDTH else ""
    return f"{before}{shown}{after}"

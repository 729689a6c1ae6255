"""Say what a cassette miss is about: which cassette, what differs, and what can be done."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from labkit.lab.scrub import canonical

__all__ = ["explain"]

CHOICES = """What you can do:
  1. Undo the change and run the cell again: replay only knows what was recorded.
  2. Run the changed request against the simulated API: set LABKIT_MODE=simulate, or use
     Lab(..., mode="simulate"), then restart the kernel.
  3. With a key of your own, record it anew: labkit record --live --budget 0.50 NOTEBOOK."""


def explain(path: Path, recorded: Sequence[Any], asked: Any) -> str:
    """Return the message for a request (vcrpy's) that `recorded` cannot answer any more."""
    name = f"{path.parent.name}/{path.name}"
    wanted = _spelled(asked)
    repeats = sum(_spelled(request) == wanted for request in recorded)
    if repeats:
        times = "once" if repeats == 1 else f"{repeats} times"
        return (
            f"The cassette {name} holds this request {times}, and it has been played already. "
            "Nothing was sent.\nRun the cell that makes the client again: that rewinds the "
            f"cassette to its beginning.\n{CHOICES}"
        )
    nearest = max(recorded, key=lambda request: _likeness(_spelled(request), wanted))
    return (
        f"The cassette {name} has no answer to this request, and nothing was sent.\n"
        f"The nearest recorded request differs in this (- recorded, + asked):\n"
        f"{_difference(_spelled(nearest), wanted)}\n{CHOICES}"
    )


def _spelled(request: Any) -> str:
    return f"{request.method} {urlsplit(request.uri).path}\n{canonical(request.body)}"


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one.splitlines(), other.splitlines()).ratio()


def _difference(recorded: str, asked: str, most: int = 20) -> str:
    lines = difflib.unified_diff(recorded.splitlines(), asked.splitlines(), n=0, lineterm="")
    changed = [line for line in lines if not line.startswith(("---", "+++", "@@"))]
    shown = [f"    {line[:160]}{'...' if len(line) > 160 else ''}" for line in changed[:most]]
    if len(changed) > most:
        shown.append(f"    ... and {len(changed) - most} more lines")
    return "\n".join(shown)

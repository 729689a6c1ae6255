"""A folder in which recordings wait until all of a notebook has worked.

`labkit record` makes it and names it in LABKIT_STAGING.  A bench leaves a marker in it while it
is open, so that a kernel that ended before everything was written does not look finished.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from labkit.errors import UserError
from labkit.pricing import total

__all__ = ["VARIABLE", "finish", "mark", "spent_in", "staging", "unfinished"]

VARIABLE = "LABKIT_STAGING"
PREFIX = ".recording-"
LEFT_BEHIND_S = 24 * 3600.0
"""A staging folder this old was left behind by something that was killed."""


@contextmanager
def staging(cassettes: Path) -> Iterator[Path]:
    """Make a staging folder beside the cassettes, and remove it afterwards whatever happens."""
    for old in cassettes.glob(f"{PREFIX}*"):
        if time.time() - old.stat().st_mtime > LEFT_BEHIND_S:
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=cassettes, prefix=PREFIX))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def mark(lesson: str, *, spends: bool) -> Path | None:
    """Leave a marker for a bench that begins to record; None where nothing is staged.

    Raises `UserError` for a second bench that spends: each would have the whole budget.
    """
    folder = os.environ.get(VARIABLE)
    if not folder:
        return None
    if spends and any(Path(folder).glob("*.spends*")):
        raise UserError("Recording from the real API takes one Lab in a notebook, not several.")
    handle, name = tempfile.mkstemp(
        dir=folder, prefix=f"{lesson}.", suffix=".spends.open" if spends else ".open"
    )
    os.close(handle)
    return Path(name)


def finish(marker: Path | None, spent: Decimal) -> None:
    """Say that a bench has written everything, and what it spent."""
    if marker is not None and marker.exists():
        marker.write_text(str(spent))
        marker.rename(marker.with_suffix(".closed"))


def unfinished(folder: Path) -> bool:
    """Whether a bench was still open when its kernel ended."""
    return any(folder.glob("*.open"))


def spent_in(folder: Path) -> Decimal:
    """Return what the benches of a notebook spent, in dollars."""
    return total(Decimal(marker.read_text()) for marker in folder.glob("*.closed"))

"""The archive with 1,000,000 turns in its file beside one with 1,000: append and load, in turns.

    uv run python benchmarks/archive.py [--turns 1000000] [--rounds 200]

Every conversation has 20 turns.  A round loads a conversation of each file and appends a turn to
one, picked at random; the ratio is of the medians.  The files are gone afterwards.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from labkit.context.archive import Archive
from labkit.context.archive_turns import spelled

SMALL = 1_000
EACH = 20
"""Turns of a conversation."""
TEXT = "It rained for most of the day, and the river rose by forty centimetres. " * 4
TARGET = 1.2


def filled(path: Path, turns: int) -> Archive:
    """Make an archive with so many turns in one transaction, as no program of a day would."""
    archive = Archive(path)
    row = spelled({"role": "user", "content": TEXT})
    chats = turns // EACH
    with archive.file.transaction(write=True) as db:
        db.execute("INSERT INTO users (name) VALUES ('ada')")
        db.executemany(
            "INSERT INTO conversations (id, user, title, turns, started_at) "
            "VALUES (?, 1, '', ?, 0)",
            ((chat, EACH) for chat in range(1, chats + 1)),
        )
        db.executemany(
            "INSERT INTO turns (conversation, number, at, message) VALUES (?, ?, 0, ?)",
            ((chat, turn, row) for chat in range(1, chats + 1) for turn in range(1, EACH + 1)),
        )
    return archive


def timed(work: Callable[[], object]) -> float:
    """Return the microseconds that some work takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e6


def compare(small: Archive, large: Archive, *, turns: int, rounds: int) -> dict[str, list[float]]:
    """Return microseconds by what was done, to the small file and the large one in turns."""
    dice, took = random.Random(1), dict[str, list[float]]()
    message = {"role": "user", "content": TEXT}
    pair = [("small", small, SMALL), ("large", large, turns)]
    for _ in range(rounds):
        for name, archive, held in pair:
            read, written = (dice.randint(1, held // EACH) for _ in range(2))
            load, append = f"load {name}", f"append {name}"
            took.setdefault(load, []).append(timed(partial(archive.load, "ada", read)))
            step = partial(archive.append, "ada", written, message)
            took.setdefault(append, []).append(timed(step))
        pair.reverse()
    return took


def main() -> None:
    """Make both files, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        small = filled(Path(folder) / "small.db", SMALL)
        large = filled(Path(folder) / "large.db", options.turns)
        size = large.file.path.stat().st_size / 1e6
        print(
            f"{options.turns:,} turns, {size:,.0f} MB, {time.perf_counter() - began:.1f} s to make"
        )
        with small, large:
            took = compare(small, large, turns=options.turns, rounds=options.rounds)
    for what in ("append", "load"):
        few, many = median(took[f"{what} small"]), median(took[f"{what} large"])
        verdict = "met" if many / few <= TARGET else "MISSED"
        print(
            f"{what:<6} {options.turns:,} turns / {SMALL:,} turns  {many:7.0f} us / {few:.0f} us  "
            f"{many / few:.3f}  target {TARGET}: {verdict}"
        )


if __name__ == "__main__":
    main()

"""What importing labkit costs, against importing the SDK that it works with.

    uv run python benchmarks/imports.py [--pairs 7]

Every import happens in an interpreter of its own and is timed there, in seconds of CPU.  The SDK
and what is tried take turns, so a busy machine slows both; the ratio is the median over the pairs.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from statistics import median

PEER = "import anthropic"
FRONT_DOOR = "import labkit"
TRIED = (FRONT_DOOR, "from labkit import Retry, Deadline, Ledger", "from labkit import Lab")
TARGET = 1.1
"""For the front door only: a name is loaded, with what it needs, when it is asked for."""

TIMED = """
import time
start = time.process_time()
{statement}
print(time.process_time() - start)
"""
LOADED = """
import sys
before = set(sys.modules)
import labkit
print(*sorted(set(sys.modules) - before))
"""


def main() -> None:
    """Time every statement against the SDK's import, and list what the front door loads."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=7, help="imports of each, in turns")
    pairs = parser.parse_args().pairs
    print(f"Python {platform.python_version()}, {pairs} pairs; the peer is `{PEER}`")
    for statement in TRIED:
        times = [(seconds(PEER), seconds(statement)) for _ in range(pairs)]
        print(f"{statement:44} {figures(times)}{verdict(statement, times)}")
    loaded = output(LOADED).split()
    print(f"`{FRONT_DOOR}` loads {len(loaded)} modules: {', '.join(loaded)}")


def seconds(statement: str) -> float:
    """Return the CPU time of a statement, run first thing in a new interpreter."""
    return float(output(TIMED.format(statement=statement)))


def output(program: str) -> str:
    """Return what a program prints in an interpreter of its own."""
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603


def ratios(times: list[tuple[float, float]]) -> list[float]:
    """Return how many times the peer's time each one took."""
    return [tried / peer for peer, tried in times]


def figures(times: list[tuple[float, float]]) -> str:
    """Put the ratio, its spread and both medians into a line."""
    found = ratios(times)
    peer, tried = (median(column) * 1000 for column in zip(*times, strict=True))
    spread = f"({min(found):.3f} to {max(found):.3f})"
    return f"ratio {median(found):.3f} {spread}, {tried:.0f} ms to {peer:.0f} ms of CPU"


def verdict(statement: str, times: list[tuple[float, float]]) -> str:
    """Say whether the target is met, where there is one."""
    if statement != FRONT_DOOR:
        return ""
    return f"; target {TARGET}: {'met' if median(ratios(times)) <= TARGET else 'MISSED'}"


if __name__ == "__main__":
    main()

"""The benchmark of the archive runs and prints what it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "archive.py"


def test_a_large_archive_is_compared_with_a_small_one() -> None:
    """Append and load, each with its ratio and its verdict."""
    command = [sys.executable, "-W", "error", str(SCRIPT), "--turns", "2000", "--rounds", "3"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    made, append, load = ran.stdout.splitlines()
    assert made.startswith("2,000 turns, ")
    for line, what in [(append, "append"), (load, "load")]:
        assert line.startswith(f"{what:<6} 2,000 turns / 1,000 turns")
        assert re.search(r"\d+\.\d{3}  target 1\.2: (met|MISSED)$", line)

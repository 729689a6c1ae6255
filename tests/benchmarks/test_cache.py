"""The benchmark of the response cache runs and prints what it promises."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "cache.py"


def test_hits_and_a_stampede_are_compared_with_langchain_and_cachetools() -> None:
    """A line for each, the model asked once through labkit, and a verdict on SQLite."""
    command = [sys.executable, "-W", "error", str(SCRIPT), "--rounds", "1", "--calls", "2"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    heading, *rows, verdict = ran.stdout.splitlines()
    assert re.match(r"langchain-community \S+, cachetools \S+; 1 rounds$", heading)
    by_name = {re.split(r" {2,}", row)[0]: row for row in rows}
    assert list(by_name) == [
        *("labkit: SQLite", "labkit: memory", "LangChain: SQLite", "cachetools"),
        "labkit: flow alone",
    ]
    assert all(re.search(r"[\d,.]+ us a hit +[\d,]+ hits/s", row) for row in rows)
    for name in ("labkit: SQLite", "labkit: memory"):
        assert by_name[name].endswith("asked 1, failed 0")
    for name in ("LangChain: SQLite", "cachetools"):
        (asked,) = re.findall(r"asked (\d+), failed", by_name[name])
        assert int(asked) > 1
    assert re.search(r"\d+\.\d{3}  target 1\.0: (met|MISSED)$", verdict)

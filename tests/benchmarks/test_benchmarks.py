"""The benchmarks run and print what they promise; how fast anything is, is no matter of a test."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
RATIO = re.compile(r"\b\d+\.\d{3}\b")


def printed(name: str, *options: str) -> list[str]:
    """Run a benchmark as anybody would, with warnings as errors, and return its lines."""
    command = [sys.executable, "-W", "error", str(BENCHMARKS / name), *options]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.fixture(scope="module")
def overhead() -> list[str]:
    """The shortest run there is: two pairs of calls for each comparison."""
    return printed("overhead.py", "--calls", "2", "--rounds", "1")


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("size", ["short", "200 kB"])
def test_the_layers_are_compared_with_the_bare_sdk(
    overhead: list[str], mode: str, size: str
) -> None:
    """Sync and async, with and without the ledger, short and long; each with its verdict."""
    for tried, target in [("5 layers", "1.1"), ("5 layers + ledger", "1.5")]:
        start = re.compile(rf"loopback +{mode} +{size} +{re.escape(tried)} / bare SDK ")
        (line,) = [line for line in overhead if start.match(line)]
        assert float(RATIO.findall(line)[0]) > 0
        assert re.search(rf"target {re.escape(target)}: (met|MISSED)$", line)


def test_without_a_wire_there_is_no_target(overhead: list[str]) -> None:
    """A call answered from memory says where the time goes, and nothing is promised of it."""
    rows = [line for line in overhead if line.startswith("memory")]
    assert len(rows) == 2 * 6 + 2 * 2
    assert not any("target" in row for row in rows)


def test_other_peers_are_named(overhead: list[str]) -> None:
    """What the SDK itself takes for middlewares and spans is told apart."""
    for peer in ["5 empty SDK middlewares / bare SDK", "5 layers + ledger / SDK with spans"]:
        assert len([line for line in overhead if peer in line]) == 2


def test_the_imports_are_compared_with_the_sdks() -> None:
    """The front door has a target, the others a ratio, and what it loads is listed."""
    heading, door, names, lab, loaded = printed("imports.py", "--pairs", "1")
    assert "import anthropic" in heading
    assert re.search(r"target 1\.1: (met|MISSED)$", door)
    assert all(RATIO.search(line) for line in (door, names, lab))
    assert names.startswith("from labkit import Retry, Deadline, Ledger")
    assert lab.startswith("from labkit import Lab")
    assert "labkit" in loaded.split(": ")[1].split(", ")
    assert "anthropic" not in loaded


def test_the_server_is_compared_with_a_bare_echo() -> None:
    """Requests a second and p99 have a target each, and every stream is whole."""
    options = ("--rounds", "2", "--requests", "40", "--streams", "20", "--speed", "9")
    heading, rate, slow, streams = printed("server.py", *options)
    assert "starlette" in heading
    for line, target in [(rate, "at least 0.5"), (slow, "at most 2.0")]:
        assert float(RATIO.findall(line)[0]) > 0
        assert re.search(rf"target {re.escape(target)}: (met|MISSED)$", line)
    assert re.match(r"20 streams, all whole after \d+\.\d s: \d+ were open at once", streams)


def test_every_layer_and_the_stack_are_compared_with_other_libraries() -> None:
    """A line for each, ratios to tenacity, and a verdict on the stack alone."""
    lines = printed("layers.py", "--calls", "2", "--rounds", "1")[3:]
    names = [re.split(r" {2,}", line)[0] for line in lines]
    for peer in ("tenacity", "stamina", "pybreaker", "interlock-cb"):
        assert peer in names
    for layer in ("Deadline", "Fallback", "Retry", "Breaker", "Throttle", "Bulkhead"):
        assert f"labkit: {layer}" in names
    assert all(RATIO.search(line) for line in lines)
    verdicts = [line for line in lines if re.search(r"target 3\.0: (met|MISSED)$", line)]
    assert verdicts == [lines[names.index("labkit: the whole stack")]]


def test_a_turn_of_a_window_is_compared_with_recounting_and_langchain() -> None:
    """A line for each length of history, and a verdict on how much labkit's time grows."""
    _, heading, *rows, verdict = printed("context.py", "--turns", "50", "200", "--rounds", "1")
    assert heading.split()[1:] == ["labkit", "naive", "recount", "LangChain"]
    assert [row.split()[0] for row in rows] == ["50", "200"]
    assert all(float(figure.replace(",", "")) > 0 for row in rows for figure in row.split())
    assert float(RATIO.findall(verdict)[0]) > 0
    assert re.search(r"target 2\.0: (met|MISSED)$", verdict)


def test_how_late_a_deadline_is_stands_in_a_table() -> None:
    """A row for each fault, a figure for each way to call, a verdict, and what watching costs."""
    options = ("--rounds", "1", "--deadline", "0.1", "--kinds", "silence", "overloaded")
    _, heading, first, second, verdict, *prices = printed("deadline.py", *options)
    rows = [first, second]
    assert re.match(r"fault +sync plain +sync stream +async plain +async stream$", heading)
    assert [row.split()[0] for row in rows] == ["silence", "overloaded"]
    assert all(float(figure) >= 0 for row in rows for figure in row.split()[1:])
    assert re.match(r"worst of all [\d.]+ ms; target 50: (met|MISSED)$", verdict)
    assert [price.partition(":")[0] for price in prices] == [
        "sync, without a deadline",
        "async, without a deadline",
        "sync, with one",
        "async, with one",
    ]


def test_a_batch_job_prints_what_it_took_and_its_memory() -> None:
    """A line for each job, and a verdict on how much memory grows with the rows."""
    options = ("--rows", "40", "--fewer", "20", "--per-batch", "10", "--speed", "5000")
    few, many, verdict = printed("batches.py", *options)
    for line, rows in [(few, "20 rows"), (many, "40 rows")]:
        assert line.startswith(rows)
        assert re.search(r"at most \$\d+\.\d\d forecast, \$\d+\.\d\d billed$", line)
    assert float(RATIO.findall(verdict)[0]) > 0
    assert re.search(r"target 1\.2: (met|MISSED)$", verdict)

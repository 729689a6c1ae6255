"""100,000 rows as one batch job over HTTP, and the memory of the program that runs it.

    uv run python benchmarks/batches.py [--rows 100000] [--fewer 10000] [--speed 2000]

`labkit serve` runs in a process of its own, `speed` times faster than real time, so that waiting
is short; this process works through a small job and then through the large one, from rows that
are made one at a time to a file of results.  The ratio is of its peak memory after each: a job
that held its rows or its results would need several times as much for ten times the rows.
"""

from __future__ import annotations

import argparse
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic

from labkit.batches import BatchJob

LABKIT = (sys.executable, "-c", "from labkit.cli import main; main()", "serve", "--port", "0")
ADDRESS = re.compile(r"http://[\d.]+:\d+")
SCENARIO = """
tier = "none"  # the queue of the smaller tiers has no room for a second job
[[fault]]
kind = "batch_row_errored"
share = 0.01
"""
TARGET = 1.2
UNIT = 1e6 if platform.system() == "Darwin" else 1e3
"""Of `ru_maxrss`, to megabytes."""


def main() -> None:
    """Run both jobs and print what they took."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="rows of the large job")
    parser.add_argument("--fewer", type=int, default=10_000, help="rows of the small job")
    parser.add_argument("--per-batch", type=int, default=5_000, help="rows in a batch")
    parser.add_argument("--speed", default="2000", help="how fast the server's time goes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), options.speed) as url:
        client = anthropic.Anthropic(api_key="none", base_url=url)
        peaks = [
            work(client, Path(folder), count, options.per_batch)
            for count in (options.fewer, options.rows)
        ]
    ratio = peaks[1] / peaks[0]
    verdict = "met" if ratio <= TARGET else "MISSED"
    print(
        f"peak memory, {options.rows:,} rows / {options.fewer:,} rows  {peaks[1]:.0f} MB / "
        f"{peaks[0]:.0f} MB  {ratio:.3f}  target {TARGET}: {verdict}"
    )


def work(client: anthropic.Anthropic, folder: Path, count: int, per_batch: int) -> float:
    """Run one job to its end; print what it took and return the peak memory so far in MB."""
    path, out = folder / f"{count}.job", folder / f"{count}.jsonl"
    began = time.perf_counter()
    with BatchJob(client, path, most_rows=per_batch, poll_s=0.5, attempts=9) as job:
        job.give(rows(count))
        given = time.perf_counter()
        forecast = job.forecast()
        job.submit()
        submitted = time.perf_counter()
        kinds = job.run().kinds
        ended = time.perf_counter()
        assert job.save(out) == count
        bill = job.bill()
        saved = time.perf_counter()
    assert kinds == {"succeeded": count}, kinds
    print(
        f"{count:,} rows: given in {given - began:.1f} s, forecast and submitted in "
        f"{submitted - given:.1f} s, waited and collected in {ended - submitted:.1f} s, saved in "
        f"{saved - ended:.1f} s; {path.stat().st_size / 1e6:.0f} MB on disk; "
        f"at most ${forecast.at_most:.2f} forecast, ${bill:.2f} billed"
    )
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / UNIT


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Make rows, one at a time."""
    for number in range(count):
        question = f"Review {number}: it rained for most of the day, but we liked the river. Why?"
        messages = [{"role": "user", "content": question}]
        params = {"model": "claude-haiku-5-5", "max_tokens": 40, "messages": messages}
        yield {"custom_id": f"review-{number}", "params": params}


@contextmanager
def server(folder: Path, speed: str) -> Iterator[str]:
    """Run `labkit serve` until the block ends; give its address."""
    scenario = folder / "scenario.toml"
    scenario.write_text(SCENARIO)
    command = (*LABKIT, "--scenario", str(scenario), "--speed", speed)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        try:
            found = ADDRESS.search(process.stdout.readline())
            assert found is not None, "the server did not start"
            yield found[0]
        finally:
            process.terminate()


if __name__ == "__main__":
    main()

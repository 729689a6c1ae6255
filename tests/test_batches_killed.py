"""Batch jobs over loopback, in processes of their own that are killed, and in little memory."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from anthropic import Anthropic

from labkit.batch_file import JobFile
from labkit.batch_parts import Parts
from labkit.batches import BatchJob
from labkit.sim.batch_script import BatchPace
from labkit.sim.core import SimulatedApi
from labkit.sim.faults import Fault
from labkit.sim.reply import Reply
from tests.batching import billed
from tests.sim.serving import Serving, eventually
from tests.test_cli_serve import serving as labkit_serve

ROWS = 60
WORK = """
import resource
import sys
from anthropic import Anthropic
from labkit.batches import BatchJob
from tests.batching import rows

url, most, *jobs = sys.argv[1:]
client, pace = Anthropic(api_key="k", base_url=url), {"settle_s": 0.3, "attempts": 30}
for path, count in zip(jobs[::2], map(int, jobs[1::2])):
    with BatchJob(client, path, most_rows=int(most), poll_s=0.1, **pace) as job:
        job.give(rows(count))
        print("begun", flush=True)
        job.run()
        assert sum(1 for _ in job.results()) == count
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
GUARD_S = 120


def start(url: str, most: int, *jobs: str) -> subprocess.Popen[str]:
    """Start the program that works on jobs (path, rows, ...); return when it has begun to."""
    command = [sys.executable, "-c", WORK, url, str(most), *jobs]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def end(process: subprocess.Popen[str]) -> list[str]:
    """Wait for the program to end; return what it has printed."""
    printed, _ = process.communicate(timeout=GUARD_S)
    return printed.splitlines()


def silent_at_first(api: SimulatedApi) -> Callable[..., Reply]:
    """An API that takes in the first batch and never says so."""
    plain = api.reply

    def reply(method: str, path: str, *rest: Any, **more: Any) -> Reply:
        made = plain(method, path, *rest, **more)
        first = method == "POST" and len(api.batches._batches) == 1
        return Reply(200, made.headers, (), "silence") if first else made

    return reply


def test_a_program_killed_again_and_again_gets_every_row_once_and_pays_once(tmp_path: Path) -> None:
    """kill -9 while the id of a batch is on its way, then after random whiles; then to the end."""
    dice, path = random.Random(11), tmp_path / "job.db"
    with Serving(speed=20.0, faults=[Fault("batch_row_errored", share=0.2)], tier=None) as serving:
        api = serving.door.api
        api.batches.pace = BatchPace(start_s=2.0, rows_per_s=5.0, sigma=0.0)
        api.reply = silent_at_first(api)  # type: ignore[method-assign]
        process = start(serving.url, 15, str(path), str(ROWS))
        eventually(lambda: len(api.batches._batches) == 1)
        process.kill()
        end(process)
        with closing(JobFile(path)) as file:
            assert [part.id for part in Parts(file, "job").in_state("sending")] == [None]
        for _ in range(2):
            process = start(serving.url, 15, str(path), str(ROWS))
            with suppress(subprocess.TimeoutExpired):
                process.wait(dice.uniform(0.01, 0.3))
            process.kill()
            end(process)
        last = start(serving.url, 15, str(path), str(ROWS))
        end(last)
        assert last.returncode == 0
        asked, dollars = billed(api.batches)
    with BatchJob(Anthropic(api_key="k"), path) as job:
        assert [line["custom_id"] for line in job.results()] == [f"row-{n}" for n in range(ROWS)]
        assert job.counts.kinds == {"succeeded": ROWS}
        assert asked == Counter(f"What is {n} + 2?" for n in range(ROWS))
        assert job.bill() == dollars


def test_memory_does_not_grow_with_the_job(tmp_path: Path) -> None:
    """10,000 rows need what 1,000 do, from the first row to the last result."""
    scenario, few, many = (tmp_path / name for name in ("fast.toml", "few", "many"))
    scenario.write_text('tier = "none"\nspeed = 500\n')
    with labkit_serve("--port", "0", "--scenario", str(scenario)) as (_, port):
        url = f"http://127.0.0.1:{port}"
        first, _, second = end(start(url, 500, str(few), "1000", str(many), "10000"))
    assert int(second) < 1.15 * int(first)

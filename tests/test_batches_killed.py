"""Batch jobs over loopback, in processes of their own that are killed, and in little memory."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
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
import os
import resource
import sys
from anthropic import Anthropic
from labkit.batches import BatchJob
from tests.batching import rows

def work(url, path, count, most):
    client, pace = Anthropic(api_key="k", base_url=url), {"settle_s": 0.3, "attempts": 30}
    with BatchJob(client, path, most_rows=int(most), poll_s=0.1, **pace) as job:
        job.give(rows(int(count)))
        job.run()
        assert sum(1 for _ in job.results()) == int(count)

for line in sys.stdin:
    child = os.fork()
    if not child:
        work(*line.split())
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
        os._exit(0)
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""


class Program:
    """A program that works on jobs, each time in a process of its own; imports take time."""

    def __init__(self, url: str) -> None:
        self.url = url
        command, pipe = [sys.executable, "-c", WORK], subprocess.PIPE
        self._parent = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1)

    def start(self, path: Path, count: int, most: int) -> int:
        """Start it on a job; return the id of its process."""
        assert self._parent.stdin is not None
        self._parent.stdin.write(f"{self.url} {path} {count} {most}\n")
        return int(self.line())

    def line(self) -> str:
        """Return the next line it prints: when it ends, the most memory it had, and its status."""
        assert self._parent.stdout is not None
        return self._parent.stdout.readline()

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.communicate(timeout=GUARD_S)


GUARD_S = 60


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
        api.batches.pace = BatchPace(start_s=2.0, rows_per_s=1.0, sigma=0.0)
        api.reply = silent_at_first(api)  # type: ignore[method-assign]
        with Program(serving.url) as program:
            process = program.start(path, ROWS, 15)
            eventually(lambda: len(api.batches._batches) == 1)
            os.kill(process, signal.SIGKILL)
            assert int(program.line()) == signal.SIGKILL
            with closing(JobFile(path)) as file:
                assert [part.id for part in Parts(file, "job").in_state("sending")] == [None]
            for _ in range(6):
                process = program.start(path, ROWS, 15)
                time.sleep(dice.uniform(0.02, 0.4))
                with suppress(ProcessLookupError):  # on a fast machine it may be through
                    os.kill(process, signal.SIGKILL)
                if int(program.line()) != signal.SIGKILL:
                    assert int(program.line()) == 0
            program.start(path, ROWS, 15)
            program.line()
            assert int(program.line()) == 0
        asked, dollars = billed(api.batches)
    with BatchJob(Anthropic(api_key="k"), path) as job:
        assert [line["custom_id"] for line in job.results()] == [f"row-{n}" for n in range(ROWS)]
        assert job.counts.kinds == {"succeeded": ROWS}
        assert asked == Counter(f"What is {n} + 2?" for n in range(ROWS))
        assert job.bill() == dollars


def test_memory_does_not_grow_with_the_job(tmp_path: Path) -> None:
    """10,000 rows need what 1,000 do, from the first row to the last result."""
    scenario, few, many = (tmp_path / name for name in ("fast.toml", "few", "many"))
    peaks = []
    scenario.write_text('tier = "none"\nspeed = 500\n')
    with (
        labkit_serve("--port", "0", "--scenario", str(scenario)) as (_, port),
        Program(f"http://127.0.0.1:{port}") as program,
    ):
        for path, count in ((few, 1_000), (many, 10_000)):
            program.start(path, count, 500)
            peaks.append(int(program.line()))
            assert int(program.line()) == 0
    assert peaks[1] < 1.15 * peaks[0]

"""Rows: what a fleet leaves behind is the same in memory and in files."""

from __future__ import annotations

import csv
import json
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.layers.breaker import Breaker
from labkit.layers.retry import Retry
from labkit.sim.engine import Engine
from labkit.sim.faults import Fault
from labkit.sim.fleet import Fleet, Sink
from labkit.sim.prefix import read_prefix
from labkit.sim.rows import AttemptRow, CallRow, Kept, NoteRow, ToFiles
from labkit.sim.traffic import Arrival, Task, requests, steady

FAULTS = [
    Fault("overloaded", start=2, end=6, share=0.7),
    Fault("silence", share=0.02),
    Fault("cut", share=0.05),
    Fault("spend_limit", share=0.02),
]
CHAT = Task('chat, "with" a comma', prompt=300, output=40)


def play(sink: Sink, seed: int = 1, until: float = 20, faults: Sequence[Fault] = FAULTS) -> None:
    """Let some seconds of trouble happen."""
    engine = Engine(seed=seed, faults=faults, tier=None)
    traffic = requests(steady(10), until=until, mix=[CHAT], seed=seed)
    Fleet([Retry(3, seed=seed), Breaker(seed=seed)], engine, sink).run(traffic)


def read(folder: Path, name: str) -> list[list[str]]:
    """Return the lines of a table, header first."""
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@given(st.integers(0, 10**6))
@settings(max_examples=10)
def test_files_hold_the_rows_that_memory_does(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Every field of every row, and no more."""
    folder, kept = tmp_path_factory.mktemp("rows"), Kept()
    play(kept, seed)
    with ToFiles(folder) as files:
        play(files, seed)
    assert (files.calls, files.attempts) == (len(kept.calls), len(kept.attempts))
    for name, row, rows in (
        ("calls", CallRow, kept.calls),
        ("attempts", AttemptRow, kept.attempts),
    ):
        header, *lines = read(folder, name)
        assert header == list(row._fields)
        assert lines == [[str(field) for field in one] for one in rows]
    header, *lines = read(folder, "notes")
    assert header == list(NoteRow._fields)
    assert [(*line[:3], json.loads(line[3])) for line in lines] == [
        (str(one.call), str(one.at_s), one.note, one.attributes) for one in kept.notes
    ]


def test_rows_agree_with_one_another() -> None:
    """A call's attempts are counted, follow one another, and lie within the call."""
    kept = Kept()
    play(kept)
    assert {row.ok for row in kept.calls} == {True, False}
    for call in kept.calls:
        own = [row for row in kept.attempts if row.call == call.call]
        assert [row.attempt for row in own] == list(range(1, call.attempts + 1))
        times = [call.start_s, *(at for row in own for at in (row.start_s, row.end_s)), call.end_s]
        assert times == sorted(times)
        if call.ok:
            assert (own[-1].end_s, own[-1].status, own[-1].reason) == (call.end_s, 200, "ok")
        assert (call.reason == "ok") == call.ok


def test_an_attempt_is_billed_for_what_a_model_saw() -> None:
    """Nothing for an overload; the prompt and the answer for an answer and for a broken one."""
    kept = Kept()
    play(kept)
    for row in kept.attempts:
        tokens = (row.input_tokens > 0, row.output_tokens > 0)
        unseen = row.status >= 400
        assert tokens == ((False, False) if unseen else (True, True))


def test_rows_tell_how_a_cached_prompt_divides() -> None:
    """As the API's `usage` does."""
    text = {"type": "text", "text": "a" * 5_000, "cache_control": {"type": "ephemeral"}}
    body = {"system": [text], "messages": [{"role": "user", "content": "hello"}]}
    body["model"] = "claude-haiku-5-5"
    prefix = read_prefix(body, "claude-haiku-5-5")
    calls = [Arrival(at, "claude-haiku-5-5", prefix.tokens, 9, prefix=prefix) for at in (0.0, 60.0)]
    kept = Kept()
    Fleet([], Engine(tier=None), kept).run(calls)
    found = [
        (row.input_tokens, row.cache_read_tokens, row.cache_written_5m, row.cache_written_1h)
        for row in kept.attempts
    ]
    rest = prefix.tokens - 2_000
    assert found == [(rest, 0, 2_000, 0), (rest, 2_000, 0, 0)]


def test_rows_in_files_take_no_memory(tmp_path: Path) -> None:
    """Ten times the traffic, about as much memory."""
    peaks = []
    quick = [fault for fault in FAULTS if fault.kind != "silence"]  # which waits ten minutes
    for until in (40, 400):
        with ToFiles(tmp_path) as files:
            tracemalloc.start()
            play(files, until=until, faults=quick)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_a_folder_is_made_and_an_older_run_replaced(tmp_path: Path) -> None:
    """However deep it lies."""
    folder = tmp_path / "new" / "run"
    for until in (20, 1):
        with ToFiles(folder) as files:
            play(files, until=until)
    assert len(read(folder, "calls")) == files.calls + 1

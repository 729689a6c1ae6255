"""Real traces: read as they are streamed, scaled in time and volume, refused in one sentence."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from itertools import islice
from math import nan, sqrt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import UserError
from labkit.layers.breaker import Breaker
from labkit.layers.deadline import Deadline
from labkit.layers.retry import Retry
from labkit.layers.throttle import Throttle
from labkit.sim.faults import Fault
from labkit.sim.report import report
from labkit.sim.simulate import simulate
from labkit.sim.tables import Simulation
from labkit.sim.traces import read_trace
from labkit.sim.traffic import Arrival

MODEL = "claude-haiku-5-5"
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
BURSTGPT = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
REAL = Path(__file__).parents[3] / "shared" / "data" / "azure-llm-trace-2023-conv.csv"
REQUESTS = 19_366

rows = st.lists(
    st.tuples(st.floats(0, 600), st.integers(0, 9_000), st.integers(0, 900)),
    min_size=1,
    max_size=40,
)
Rows = list[tuple[float, int, int]]


def azure(found: Rows) -> str:
    """Spell a trace in Azure's format, with its seven digits after the point."""
    lines, at = [], 0.0
    for gap, prompt, output in found:
        at += gap
        minutes, seconds = divmod(round(at, 6), 60)
        hours, minutes = divmod(int(minutes), 60)
        days, hours = divmod(hours, 24)
        moment = f"2023-11-{16 + days:02} {hours:02}:{minutes:02}:{seconds:010.7f}"
        lines.append(f"{moment},{prompt},{output}\n")
    return AZURE + "".join(lines)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place for a trace."""
    return tmp_path_factory.mktemp("traces") / "trace.csv"


def read(file: Path, text: str, **how: Any) -> list[Arrival]:
    """Write a trace and read it."""
    file.write_text(text)
    return list(read_trace(file, model=MODEL, **how))


@given(rows)
def test_a_trace_of_azure_is_read_as_it_is(file: Path, found: Rows) -> None:
    """The first request at time 0, the others as much later; sizes untouched."""
    calls = read(file, azure(found))
    assert [(call.prompt_tokens, call.output_tokens) for call in calls] == [x[1:] for x in found]
    at = 0.0
    for call, (gap, _, _) in zip(calls, [(0.0, 0, 0), *found[1:]], strict=True):
        at += gap
        assert call.at == pytest.approx(at, abs=1e-4)
    assert {call.model for call in calls} == {MODEL}


@given(rows, st.floats(0.01, 100))
def test_time_scales(file: Path, found: Rows, scale: float) -> None:
    """Every gap by the same factor, and nothing else."""
    usual, scaled = read(file, azure(found)), read(file, azure(found), time_scale=scale)
    assert [call.at for call in scaled] == pytest.approx([call.at * scale for call in usual])
    assert [call.replace(at=0) for call in scaled] == [call.replace(at=0) for call in usual]


@given(rows, st.integers(1, 5))
def test_a_whole_volume_makes_so_many_of_each(file: Path, found: Rows, volume: int) -> None:
    """At the same moment."""
    usual, more = read(file, azure(found)), read(file, azure(found), volume=volume)
    assert more == [call for call in usual for _ in range(volume)]


@pytest.mark.parametrize("volume", [0.1, 0.5, 2.25])
def test_a_volume_that_is_not_whole_is_met_by_dice(file: Path, volume: float) -> None:
    """Within a few standard errors; the same seed keeps the same requests, another others."""
    text = azure([(1.0, 10, 10)] * 4_000)
    found = [read(file, text, volume=volume, seed=seed) for seed in (1, 1, 2)]
    share = volume % 1
    error = 4.5 * sqrt(share * (1 - share) / 4_000)
    assert len(found[0]) / 4_000 == pytest.approx(volume, abs=error)
    assert found[0] == found[1] != found[2]


def test_burstgpt_is_read_without_its_failed_requests(file: Path) -> None:
    """A row without response tokens is a request that failed there; the log type is the kind."""
    text = (
        BURSTGPT + "5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,0,1087,Conversation log"
        "\n118,GPT-4,417,276,693,API log\n"
    )
    assert read(file, text) == [
        Arrival(0.0, MODEL, 472, 18, 18, "conversation-log"),
        Arrival(113.0, MODEL, 417, 276, 276, "api-log"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no trace this reads"),
        ("a,b,c\n1,2,3\n", "is no trace this reads"),
        (AZURE + "yesterday,1,2\n", "line 2: this is not a row"),
        (AZURE + "2023-11-16 18:15:46.68,1,2\n2023-11-16 18:15:47.68,one,2\n", "line 3: this is"),
        (AZURE + "2023-11-16 18:15:46.68,-1,2\n", "line 2: this is not a row"),
        (AZURE + "2023-11-16 18:15:46.68,1\n", "line 2: this is not a row"),
        (BURSTGPT + "nan,ChatGPT,1,2,3,x\n", "line 2: this is not a row"),
        (BURSTGPT + "5,ChatGPT,1,2,3,x\n4,ChatGPT,1,2,3,x\n", "line 3: the time runs backwards"),
    ],
    ids=str,
)
def test_what_is_no_trace_is_told_with_its_line(file: Path, text: str, told: str) -> None:
    """Never a traceback, never a silent zero."""
    with pytest.raises(UserError, match=told):
        read(file, text)


def test_a_file_that_is_missing_or_no_text_is_told(tmp_path: Path) -> None:
    """A name in quotes will do for a path."""
    broken = tmp_path / "broken.csv"
    broken.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.csv", tmp_path, str(broken)):
        with pytest.raises(UserError):
            list(read_trace(path, model=MODEL))


@pytest.mark.parametrize(
    "how", [{"time_scale": 0}, {"volume": -1}, {"volume": nan}, {"volume": "1"}]
)
def test_a_scale_that_cannot_be_is_refused(file: Path, how: dict[str, Any]) -> None:
    """Both are above zero."""
    with pytest.raises(UserError):
        read(file, azure([(0.0, 1, 1)]), **how)


def peak_bytes(calls: Iterable[Arrival]) -> int:
    """Return the most memory that reading takes at once."""
    tracemalloc.start()
    for _ in calls:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_a_trace_is_streamed(file: Path) -> None:
    """Ten times the rows take no more memory, and the first is there before the last is read."""
    peaks = []
    for count in (500, 5_000):
        file.write_text(azure([(1.0, 10, 10)] * count))
        peaks.append(peak_bytes(read_trace(file, model=MODEL)))
    assert peaks[1] < 1.2 * peaks[0]
    file.write_text(azure([(1.0, 10, 10)] * 500) + "nonsense\n")
    assert len(list(islice(read_trace(file, model=MODEL), 400))) == 400


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_any_bytes_are_a_trace_or_a_user_error(file: Path, junk: bytes) -> None:
    """Behind a header that promises one, too."""
    for start in (b"", AZURE.encode(), BURSTGPT.encode()):
        file.write_bytes(start + junk)
        try:
            calls = list(read_trace(file, model=MODEL))
        except UserError:
            continue
        assert all(call.at >= 0 and call.prompt_tokens >= 0 for call in calls)


# -- the real trace of an hour --------------------------------------------------------------------


def replayed(seed: int) -> Simulation:
    """Play the real hour through a full stack, with a brownout in its middle."""
    return simulate(
        read_trace(REAL, model=MODEL),
        stack=[
            Deadline(120),
            Retry(seed=seed),
            Breaker(seed=seed),
            Throttle(requests=4_000, input_tokens=4_000_000, output_tokens=800_000),
        ],
        api={"tier": "build", "faults": [Fault("overloaded", start=1500, end=1680, share=0.4)]},
        seed=seed,
    )


@pytest.mark.skipif(not REAL.exists(), reason="the Azure trace is not here: ../shared/data")
def test_the_real_hour_of_azure_gives_a_report_of_cost_and_latency() -> None:
    """All requests through a full stack; every seed has its day, and always the same one."""
    first, same, other = replayed(1), replayed(1), replayed(2)
    found = report(first)
    assert found.calls == len(first.calls) == REQUESTS
    assert found == report(same) != report(other)
    assert first.attempts.equals(same.attempts)
    assert first.notes.equals(same.notes)
    assert 0.95 < found.answered_share < 1
    assert found.attempts > found.answered
    assert 0 < found.p50_s < found.p99_s < 120
    assert sum(found.endings.values()) == REQUESTS
    tokens = first.attempts[["input_tokens", "output_tokens"]].sum()
    cheap = (tokens["input_tokens"] * 0.10 + tokens["output_tokens"] * 0.50) / 1e6
    assert float(found.cost_usd) == pytest.approx(cheap)
    assert "latency p50" in str(found)
    assert "cost $" in str(found)

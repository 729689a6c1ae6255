"""The ledger of recorded calls: a table with honest totals, exact CSV and JSON, exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from labkit.errors import UserError
from labkit.recorded import COLUMNS, RecordedCall, as_csv, as_json, ledger
from labkit.recorded.table import plain, totals

PRICED = RecordedCall(
    file="folder/a.yaml",
    exchange=1,
    kind="message",
    model="claude-haiku-5-5",
    status=200,
    stop_reason="end_turn",
    input_tokens=1_200,
    output_tokens=7,
    cache_creation_input_tokens=0,
    cache_read_input_tokens=30,
    latency_s=0.962,
    cost_usd=Decimal("0.0000000055"),
)
UNPRICED = RecordedCall(
    file="folder/b.yaml",
    exchange=1,
    kind="message",
    model="claude-opus-9",
    input_tokens=5,
    output_tokens=6,
    extra_input_tokens=40,
    extra_output_tokens=2,
    note="price unknown: [no] such model",
)
ERROR = RecordedCall(file="folder/b.yaml", exchange=2, kind="error", status=529, note="overloaded")
CALLS = (PRICED, UNPRICED, ERROR)
MESSAGE = {
    "type": "message",
    "model": "claude-haiku-4-5",
    "content": [],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 19, "output_tokens": 5},
}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Write a plain Message."""
    path = tmp_path / "message.json"
    path.write_text(json.dumps(MESSAGE))
    return path


def test_json_holds_exact_numbers_and_nulls() -> None:
    """A cost is a number with all its digits, and null where unknown; never zero, never text."""
    first, second, third = json.loads(as_json(CALLS), parse_float=Decimal)
    assert tuple(first) == COLUMNS
    assert first["cost_usd"] == Decimal("0.0000000055")
    assert '"cost_usd": 0.0000000055,' in as_json(CALLS)
    assert first["latency_s"] == Decimal("0.962")
    assert first["stream"] is False
    assert second["cost_usd"] is None
    assert third["input_tokens"] is None


def test_json_of_nothing_is_an_empty_list() -> None:
    """Programs get a list in any case."""
    assert json.loads(as_json([])) == []


def test_csv_has_the_same_columns_and_empty_cells_for_unknown() -> None:
    """A spreadsheet does not turn unknown into zero."""
    first, second, third = csv.DictReader(io.StringIO(as_csv(CALLS)))
    assert tuple(first) == COLUMNS
    assert first["cost_usd"] == "0.0000000055"
    assert second["cost_usd"] == ""
    assert (third["status"], third["input_tokens"]) == ("529", "")


def test_totals_count_what_is_unknown_instead_of_adding_zero() -> None:
    """The sum says what it leaves out."""
    assert totals(CALLS).splitlines() == [
        "3 replies in 2 files, 2 of them with tokens: 1,205 input, 0 written, 30 read, 13 output.",
        "Sub-calls on top: 40 input, 2 output.",
        "1 priced: $0.0000000055 together, at the catalogue's list prices.",
        "1 of unknown price: not in that sum.",
    ]


def test_totals_of_priced_calls_alone_say_nothing_of_unknown_ones() -> None:
    """No line without a reason."""
    assert "unknown" not in totals([PRICED])
    assert "Sub-calls" not in totals([PRICED])


@pytest.mark.parametrize(
    ("money", "text"),
    [("0.0100", "0.01"), ("0", "0"), ("1E-9", "0.000000001"), ("12E+1", "120"), ("2.00", "2")],
)
def test_money_is_written_out(money: str, text: str) -> None:
    """No exponent, no trailing zero, no rounding."""
    assert plain(Decimal(money)) == text


def test_the_table_shows_every_call_and_note(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row each, its note by number, the unknown price in words."""
    other = tmp_path / "other.json"
    other.write_text(json.dumps(MESSAGE | {"model": "claude-[b]opus-9"}))
    assert ledger([recording, other]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert f"in {tmp_path}" in out
    (priced,) = (line for line in lines if line.split()[:1] == ["message.json"])
    assert priced.split()[1:] == ["end_turn", "claude-haiku-4-5", "19", "0", "0", "5", "0.000044"]
    (unpriced,) = (line for line in lines if line.split()[:1] == ["other.json"])
    assert unpriced.split()[2:] == ["claude-[b]opus-9", "19", "0", "0", "5", "unknown", "1"]
    assert any(line.startswith("  1  price unknown: The catalogue knows no") for line in lines)
    assert "1 of unknown price: not in that sum." in lines


def test_a_narrow_terminal_gets_a_narrow_table() -> None:
    """File, end and model share a column there; nothing is lost."""
    from rich.console import Console

    from labkit.recorded.table import as_table

    console = Console(width=80, file=io.StringIO())
    console.print(as_table(CALLS, {str(UNPRICED.note): 1, str(ERROR.note): 2}, narrow=True))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert all(len(line) <= 80 for line in text.splitlines())
    for word in ("a.yaml", "end_turn", "claude-haiku-5-5", "0.0000000055", "HTTP 529", "unknown"):
        assert word in text


def test_json_goes_to_the_output_and_remarks_to_the_error_stream(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program reading the output gets JSON and nothing else."""
    missing, notes = tmp_path / "missing.yaml", tmp_path / "notes.md"
    notes.write_text("# Notes\n")
    assert ledger([recording, missing, notes], json=True) == 2
    out, err = capsys.readouterr()
    (call,) = json.loads(out)
    assert (call["file"], call["input_tokens"]) == (str(recording), 19)
    first, second = err.splitlines()
    assert first.startswith(f"{missing}: It cannot be opened")
    assert second == f"{notes}: It holds no recorded call, so it is left out."


def test_csv_goes_to_the_output(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One header, one line a call."""
    assert ledger([recording], csv=True) == 0
    (call,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert call["cost_usd"] == "0.000044"


def test_nothing_read_is_a_failure_without_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty table would look like an answer."""
    assert ledger([tmp_path / "missing.yaml"]) == 2
    assert capsys.readouterr().out == ""


def test_two_formats_at_once_are_refused(recording: Path) -> None:
    """Only one can go to the output."""
    with pytest.raises(UserError, match="choose one"):
        ledger([recording], csv=True, json=True)


def test_no_file_at_all_is_refused() -> None:
    """The message says what to name."""
    with pytest.raises(UserError, match="name recordings or folders"):
        ledger([])


@pytest.mark.parametrize("style", ["", "csv=True", "json=True"])
def test_an_output_that_knows_only_ascii_gets_question_marks(tmp_path: Path, style: str) -> None:
    """No file name and no recorded word can break the printing."""
    path = tmp_path / "naïve….json"
    path.write_text(json.dumps(MESSAGE | {"model": "modèle"}))
    program = (
        "from pathlib import Path; from labkit.recorded import ledger\n"
        f"raise SystemExit(ledger([Path({str(path)!a})], {style}))\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert b"mod" in done.stdout


def test_reading_and_printing_import_nothing_heavy(recording: Path) -> None:
    """The command starts without pandas or the SDK, and JSON without rich or YAML."""
    program = (
        "import sys; from pathlib import Path; from labkit.recorded import ledger\n"
        f"path = [Path({str(recording)!r})]\n"
        "ledger(path, json=True)\n"
        "assert not {'rich', 'yaml'} & set(sys.modules)\n"
        "ledger(path)\n"
        "assert not {'pandas', 'anthropic', 'opentelemetry'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)

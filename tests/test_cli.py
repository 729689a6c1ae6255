"""The command line: whatever is put in, one sentence on standard error and exit code 2."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from labkit.cli import main
from tests.lab.mini_project import CALL, LESSON, MAKE, MiniProject

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MiniProject:
    """A project of one recorded lesson, with the current folder inside of it."""
    project = MiniProject(tmp_path)
    project.write(MAKE, CALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    project.record()
    return project


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command and return exit code, standard output and standard error."""

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["labkit", *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def assert_refused(result: tuple[int, str, str], *words: str) -> None:
    """One message on standard error that says these words, exit code 2, and no traceback."""
    code, _, err = result
    assert code == 2
    assert err.startswith("labkit: ")
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    for word in words:
        assert word in err


@pytest.mark.parametrize("command", ["check", "record"])
@pytest.mark.usefixtures("project")
def test_an_unknown_lesson_is_refused(run: Run, command: str) -> None:
    """The message says which lessons there are."""
    assert_refused(run(command, "17"), "no notebook '17'", LESSON)


@pytest.mark.parametrize("words", [["check"], ["check", "--update"], ["record"], ["lab"]])
def test_a_wrong_mode_is_refused(
    project: MiniProject, run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    """Before anything runs, and nothing is written."""
    before = project.files()
    monkeypatch.setenv("LABKIT_MODE", "nonsense")
    assert_refused(run(*words), "no mode 'nonsense'", "replay, simulate, record, live")
    assert project.files() == before


@pytest.mark.parametrize("how", ["missing", "truncated", "edited"])
def test_a_broken_cassette_is_refused(project: MiniProject, run: Run, how: str) -> None:
    """Checking the lesson names the file and its repair."""
    project.spoil(how)
    before = project.files()
    assert_refused(run("check", "05"), "one.yaml", "git checkout cassettes", "labkit record")
    assert project.files() == before


@pytest.mark.usefixtures("project")
def test_recording_for_real_without_budget_or_key_is_refused(run: Run) -> None:
    """Money is asked for by name."""
    assert_refused(run("record", "--live", "05"), "--budget")
    assert_refused(run("record", "--live", "--budget", "1", "05"), "ANTHROPIC_API_KEY")


def test_a_nonsensical_budget_is_refused(
    project: MiniProject, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing runs on a budget that is none."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-" + "test")
    before = project.files()
    for budget in ("much", "0", "-1", "nan", ""):
        assert_refused(run("record", "--live", "--budget", budget, "05"), "budget in dollars")
    assert project.files() == before


@pytest.mark.parametrize(
    "content",
    [None, b"", b"\x89PNG\r\n\x1a\n\x00\xff", b"interactions: [", b"{", b"data: {\n\n"],
    ids=["missing", "empty", "binary", "half YAML", "half JSON", "half a stream"],
)
@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_a_file_that_the_ledger_cannot_read_is_refused(
    tmp_path: Path, run: Run, content: bytes | None, form: list[str]
) -> None:
    """One sentence with its name, exit code 2, and the file as it was."""
    path = tmp_path / "calls.yaml"
    if content is not None:
        path.write_bytes(content)
    code, _, err = run("ledger", *form, str(path))
    assert code == 2
    assert "calls.yaml" in err
    assert len(err.strip().splitlines()) == 1
    assert "Traceback" not in err
    assert (path.read_bytes() if path.exists() else None) == content


def test_a_truncated_cassette_is_refused_by_the_ledger(project: MiniProject, run: Run) -> None:
    """Half a recording is no recording, and the whole ones are still shown."""
    whole = project.cassette.with_name("whole.yaml")
    whole.write_bytes(project.cassette.read_bytes())
    project.spoil("truncated")
    code, out, err = run("ledger", "--json", str(project.cassette), str(whole))
    assert code == 2
    assert "one.yaml" in err
    assert len(err.strip().splitlines()) == 1
    assert [call["kind"] for call in json.loads(out)][-1] == "message"


def test_the_ledger_reads_our_own_cassettes(project: MiniProject, run: Run) -> None:
    """A recorded answer has its tokens and its price."""
    code, out, err = run("ledger", "--json", str(project.cassette))
    (call,) = json.loads(out)
    assert (code, err) == (0, "")
    assert call["model"] == "claude-haiku-5-5"
    assert call["cost_usd"] > 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["check", "--nonsense"], "No such option: --nonsense"),
        (["ledger"], "Missing argument"),
        (["record", "--budget"], "requires an argument"),
    ],
)
def test_a_mistyped_command_is_told_what_is_wrong(run: Run, words: list[str], told: str) -> None:
    """The exit code is the same, and there is no traceback."""
    code, _, err = run(*words)
    assert code == 2
    assert told in err
    assert "Traceback" not in err


@pytest.mark.parametrize("command", ["lab", "check", "record", "doctor", "ledger", "exercise"])
def test_every_command_has_help(run: Run, command: str) -> None:
    """Its first line says what it does."""
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Usage: labkit {command}" in out


def test_checking_finds_what_was_falsified(project: MiniProject, run: Run) -> None:
    """After an update all is well, until an output is changed by hand."""
    assert run("check", "--update", "05")[0] == 0
    text = project.path.read_text()
    assert "Simulated answer" in text
    project.path.write_text(text.replace("Simulated answer", "Invented answer"))
    code, out, err = run("check", "05")
    assert (code, err) == (1, "")
    assert "Invented answer" in out


def test_recording_that_fails_leaves_the_old_cassettes(project: MiniProject, run: Run) -> None:
    """The exit code says so, and so does the output."""
    project.write(MAKE, CALL, "raise LookupError('half-way')")
    before = project.files()
    code, out, _ = run("record", "05")
    assert code == 1
    assert "half-way" in out
    assert project.files() == before


def test_as_a_program_of_its_own_it_says_the_same(project: MiniProject) -> None:
    """Through the installed entry point: standard error, exit code, nothing else."""
    command = [sys.executable, "-c", "from labkit.cli import main; main()", "check", "17"]
    done = subprocess.run(command, cwd=project.root, capture_output=True, text=True, check=False)
    assert_refused((done.returncode, done.stdout, done.stderr), "no notebook '17'")
    assert done.stdout == ""

"""New cassettes take the old ones' place only when all of a lesson has worked."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from labkit.errors import UserError
from labkit.lab.provenance import made_by
from labkit.lab.recording import LiveBudget, record
from tests.lab.mini_project import CALL, LESSON, MAKE, MiniProject
from tests.loopback import Loopback

KEY = "sk-ant-" + "api03-AbC_123-xyz"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MiniProject:
    """A project of one lesson that has been recorded."""
    project = MiniProject(tmp_path)
    monkeypatch.chdir(tmp_path)
    project.record()
    return project


def test_a_lesson_is_recorded_anew(project: MiniProject) -> None:
    """The new files replace the old, and one that no scene uses any more goes."""
    stale = project.cassette.with_name("stale.yaml")
    stale.write_text("old")
    project.cassette.write_text("old")
    path = project.write(MAKE, CALL)
    before = path.read_bytes()
    assert record(path) == [project.cassette]
    document = yaml.safe_load(project.cassette.read_text())
    assert document["metadata"]["provenance"]["answered_by"] == "labkit's simulated API"
    assert not stale.exists()
    assert path.read_bytes() == before
    assert set(project.files()) == {f"cassettes/{LESSON}/one.yaml", f"notebooks/{LESSON}.ipynb"}


FAILURES = {
    "a cell fails": [MAKE, CALL, "raise LookupError('half-way')"],
    "the kernel is killed": [MAKE, CALL, "import os, signal\nos.kill(os.getpid(), 9)"],
    "the end is never written": [MAKE, CALL, "import atexit\natexit.unregister(lab.close)"],
    "nothing is recorded": [MAKE],
}
WORDS = {
    "a cell fails": "half-way",
    "the kernel is killed": "did not finish",
    "the end is never written": "nothing was replaced",
    "nothing is recorded": "nothing was recorded",
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_recording_that_fails_leaves_the_old_cassettes(
    project: MiniProject, failure: str
) -> None:
    """Whatever goes wrong: not a byte has changed, and nothing lies about."""
    path = project.write(*FAILURES[failure])
    before = project.files()
    with pytest.raises(UserError, match=WORDS[failure]):
        record(path)
    assert project.files() == before
    assert [each.name for each in (project.root / "cassettes").iterdir()] == [LESSON]


def test_a_recording_that_is_killed_leaves_the_old_cassettes(project: MiniProject) -> None:
    """`kill -9` in the middle of a lesson: the old files are whole, and the next one works."""
    waiting = project.root / "waiting"
    pause = f"import os, time\nopen({str(waiting)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    path = project.write(MAKE, CALL, pause)
    before = project.files()
    words = [sys.executable, "-c", "from labkit.cli import main; main()", "record", "05"]
    with subprocess.Popen(words, cwd=project.root, stdout=subprocess.DEVNULL) as recording:
        while recording.poll() is None and not (waiting.exists() and waiting.read_text()):
            time.sleep(0.05)
        recording.kill()
    with contextlib.suppress(ProcessLookupError):
        os.kill(int(waiting.read_text()), signal.SIGKILL)
    waiting.unlink()
    assert recording.returncode == -signal.SIGKILL
    assert {name: content for name, content in project.files().items() if name in before} == before
    assert made_by(project.cassette.parent) == "made with the simulator"
    project.write(MAKE, CALL)
    assert record(path) == [project.cassette]


def test_recording_from_the_real_api_spends_one_budget(
    project: MiniProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a lesson spent is gone for the next, and a spent budget runs nothing."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    with Loopback() as server:
        there = CALL.replace('client("one"', f'client("one", base_url="{server.url}"')
        path = project.write(MAKE, there)
        money = LiveBudget(Decimal("0.01"))
        record(path, money)
        spent = Decimal("0.01") - money.left
        assert 0 < spent < Decimal("0.001")
        story = yaml.safe_load(project.cassette.read_text())["metadata"]["provenance"]
        assert story["answered_by"] == "the real Claude API"
        assert Decimal(story["list_price_usd"]) == spent
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"

        money.left = Decimal("0.000001")
        before = project.files()
        with pytest.raises(UserError, match="could cost up to"):
            record(path, money)
        with pytest.raises(UserError, match="Nothing is left of the budget"):
            record(path, LiveBudget(Decimal(0)))
        assert len(server.requests) == 1
    assert project.files() == before
    assert not any(KEY.encode() in content for content in before.values())


def test_a_bench_that_never_said_what_it_spent_may_have_spent_it_all(
    project: MiniProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a kernel that was killed nothing is left for the others."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    money = LiveBudget(Decimal(1))
    path = project.write(MAKE, "import os\nos.kill(os.getpid(), 9)")
    with pytest.raises(UserError, match="did not finish"):
        record(path, money)
    assert money.left == 0

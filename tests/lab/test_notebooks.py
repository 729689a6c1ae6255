"""Notebooks under test: what was falsified is found, and what is stored can be stored again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from labkit.errors import CassetteBroken, UserError
from labkit.lab.notebooks import differences, find, fingerprint, read, unattended, update
from tests.lab.mini_project import CALL, LESSON, MAKE, MiniProject

KEY = "sk-ant-" + "api03-AbC_123-xyz"
TIMES = "import time\ntime.time()"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MiniProject:
    """A project of one lesson, with the current folder inside of it."""
    project = MiniProject(tmp_path)
    project.write(MAKE, CALL)
    monkeypatch.chdir(project.path.parent)
    return project


def test_lessons_are_found_by_number_name_and_path(project: MiniProject) -> None:
    """Any of these is what a learner may type."""
    other = project.write("1", name="06-limits")
    assert find() == [project.path, other]
    for name in ("05", LESSON, "notebooks/05", f"{LESSON}.ipynb", str(project.path)):
        assert find([name]) == [project.path]
    assert find(["06", "05"]) == [other, project.path]


@pytest.mark.parametrize("name", ["07", "retry", "nowhere.ipynb", "/tmp", "cassettes"])  # noqa: S108
@pytest.mark.usefixtures("project")
def test_a_name_that_fits_nothing_is_an_error(name: str) -> None:
    """The message lists the lessons that there are."""
    with pytest.raises(UserError, match=f"The lessons are: {LESSON}"):
        find([name])


def test_notebooks_run_without_key_and_in_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the learner's environment says, a run is always the same."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "https://elsewhere")
    monkeypatch.setenv("LABKIT_MODE", "live")
    monkeypatch.setenv("LABKIT_BUDGET", "5")
    env = unattended(LABKIT_EXTRA="1")
    assert KEY not in env.values()
    assert "ANTHROPIC_BASE_URL" not in env
    assert "LABKIT_BUDGET" not in env
    assert (env["LABKIT_MODE"], env["LABKIT_EXTRA"]) == ("replay", "1")
    assert env["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"cells": 5}', "\0"])
def test_what_is_no_notebook_is_an_error(project: MiniProject, content: str) -> None:
    """One sentence with the file's name."""
    project.path.write_text(content)
    with pytest.raises(UserError, match=f"{LESSON}.ipynb is not a readable notebook"):
        read(project.path)


def test_updating_stores_outputs_that_can_be_stored_again(
    project: MiniProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run gives the same bytes, a check finds nothing, a falsified output is found."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    in_two = "print('one', flush=True); print('two')"
    project.write(MAKE, CALL, "import os\nos.environ.get('ANTHROPIC_API_KEY')", in_two, "1 / 0")
    notebook = read(project.path)
    notebook.cells[-1].metadata["tags"] = ["raises-exception"]
    nbformat.write(notebook, project.path)  # type: ignore[no-untyped-call]
    project.record()
    update(project.path)
    once = project.files()
    update(project.path)
    assert project.files() == once
    text = project.path.read_text()
    assert "Simulated answer to" in text
    assert "ZeroDivisionError" in text
    assert [output.text for output in read(project.path).cells[-2].outputs] == ["one\ntwo\n"]
    assert KEY not in text
    assert str(project.root) not in text
    assert differences(project.path) == ""
    project.path.write_text(text.replace("Simulated answer to", "Invented answer to"))
    assert "Invented answer to" in differences(project.path)
    assert project.files()[f"cassettes/{LESSON}/one.yaml"] == once[f"cassettes/{LESSON}/one.yaml"]


def test_an_output_that_is_never_the_same_is_found(project: MiniProject) -> None:
    """A lesson must not depend on the time of day."""
    project.write(TIMES)
    update(project.path)
    assert differences(project.path) != ""


@pytest.mark.parametrize(
    ("work", "how"),
    [
        (differences, "missing"),
        (update, "edited"),
    ],
)
def test_a_broken_recording_is_told_apart_from_a_wrong_output(
    project: MiniProject, work: Callable[[Path], object], how: str
) -> None:
    """Checking and updating both stop with the one sentence, and overwrite nothing."""
    project.record()
    project.spoil(how)
    before = project.files()
    with pytest.raises(CassetteBroken, match=r"one\.yaml.*`git checkout cassettes`"):
        work(project.path)
    assert project.files() == before


def test_a_cell_that_fails_stops_an_update(project: MiniProject) -> None:
    """The old outputs stay, and the message names the error."""
    project.write("raise LookupError('of all things')")
    before = project.files()
    with pytest.raises(UserError, match=r"(?s)stopped in a cell:\nLookupError: of all things"):
        update(project.path)
    assert project.files() == before


def test_the_fingerprint_follows_code_and_recordings(project: MiniProject) -> None:
    """Prose and outputs do not change it; a code cell or a cassette does."""
    project.record()
    notebook = read(project.path)
    first = fingerprint(notebook, project.path)
    notebook.cells[0]["outputs"] = []
    assert fingerprint(notebook, project.path) == first
    notebook.cells[0]["source"] += "\n1"
    second = fingerprint(notebook, project.path)
    project.cassette.write_text(project.cassette.read_text() + "\n")
    assert len({first, second, fingerprint(notebook, project.path)}) == 3

"""Recordings wait in a folder of their own, and whoever was killed is cleaned up after."""

from __future__ import annotations

import os
import time
from decimal import Decimal
from pathlib import Path

import pytest

from labkit.errors import UserError
from labkit.lab.staging import VARIABLE, finish, mark, spent_in, staging, unfinished


def test_the_folder_is_removed_whatever_happens(tmp_path: Path) -> None:
    """After success and after failure nothing is left beside the cassettes."""
    with staging(tmp_path) as folder:
        assert folder.parent == tmp_path
        (folder / "a.yaml").write_text("x")
    assert list(tmp_path.iterdir()) == []

    def fail() -> None:
        with staging(tmp_path):
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_recording_left_behind_goes_with_the_next(tmp_path: Path) -> None:
    """An old folder is removed, a young one may still be in use."""
    old, young = tmp_path / ".recording-old", tmp_path / ".recording-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "x.yaml").write_text("x")
    then = time.time() - 2 * 24 * 3600
    os.utime(old, (then, then))
    with staging(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == [young]


def test_without_a_staging_folder_there_is_no_marker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bench in somebody's own notebook leaves no trace."""
    monkeypatch.delenv(VARIABLE, raising=False)
    assert mark("05-retry", spends=True) is None
    finish(None, Decimal(1))


def test_markers_tell_who_is_open_and_what_was_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several benches may record from the simulator; each says when it is done."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    markers = [mark("05-retry", spends=False) for _ in range(3)]
    markers.append(mark("05-retry", spends=True))
    for marker in markers:
        assert unfinished(tmp_path)
        finish(marker, Decimal("0.0125"))
    assert not unfinished(tmp_path)
    assert spent_in(tmp_path) == Decimal("0.05")
    finish(markers[0], Decimal(5))
    assert spent_in(tmp_path) == Decimal("0.05")


def test_two_benches_cannot_both_have_the_whole_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is refused, even after the first one is done."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    first = mark("05-retry", spends=True)
    for _ in range(2):
        with pytest.raises(UserError, match="one Lab in a notebook"):
            mark("05-retry", spends=True)
        finish(first, Decimal(0))

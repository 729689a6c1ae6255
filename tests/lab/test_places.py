"""Where things are, found from anywhere inside the project."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.errors import UserError
from labkit.lab.places import cassette_path, cassettes_of, chosen_mode, project_root


def test_the_root_is_found_from_below(tmp_path: Path) -> None:
    """A notebook's own folder is inside the project."""
    deep = tmp_path / "notebooks" / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "cassettes").mkdir()
    assert project_root(deep) == project_root(tmp_path) == tmp_path.resolve()


def test_outside_of_a_project_the_one_beside_the_package_is_used(tmp_path: Path) -> None:
    """A learner may start anything from anywhere, as long as the project is a clone."""
    assert (project_root(tmp_path) / "labkit" / "lab" / "places.py").is_file()


def test_no_project_at_all_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package without a clone has no lessons."""
    monkeypatch.setattr("labkit.lab.places.__file__", str(tmp_path / "a" / "b" / "c.py"))
    with pytest.raises(UserError, match="inside a clone"):
        project_root(tmp_path)


def test_while_recording_cassettes_go_to_the_staging_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is overwritten before all of it has worked."""
    monkeypatch.setenv("LABKIT_STAGING", str(tmp_path))
    assert cassettes_of("05-retry") == tmp_path / "05-retry"


@pytest.mark.parametrize("name", ["05-retry", "a", "a.b_c-d", "été"])
def test_ordinary_names_are_fine(tmp_path: Path, name: str) -> None:
    """Letters of any language, digits, hyphens and dots."""
    assert cassette_path(tmp_path, name) == tmp_path / f"{name}.yaml"


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "-a", "a b", "a\0"])
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    """A name is not a way."""
    with pytest.raises(UserError, match="no name for a"):
        cassette_path(tmp_path, name)


def test_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argument, environment, replay: in this order."""
    monkeypatch.setenv("LABKIT_MODE", "live")
    assert (chosen_mode("record"), chosen_mode(None)) == ("record", "live")
    monkeypatch.delenv("LABKIT_MODE")
    assert chosen_mode(None) == "replay"

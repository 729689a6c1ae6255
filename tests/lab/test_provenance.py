"""Every recording says who answered, and what cannot be read is not guessed."""

from __future__ import annotations

from datetime import date
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from labkit.lab.provenance import REAL, SIMULATOR, made_by, provenance


def test_provenance_says_plainly_who_answered() -> None:
    """The simulator with its seed, or the real API; when; with which versions."""
    simulated, real = provenance(from_api=False, seed=7), provenance(from_api=True, seed=7)
    assert (simulated["answered_by"], simulated["seed"]) == (SIMULATOR, 7)
    assert real["answered_by"] == REAL
    assert "seed" not in real
    assert date.fromisoformat(simulated["recorded_on"])
    assert real["anthropic"] == version("anthropic")


def write(folder: Path, name: str, maker: str | None) -> None:
    """Write the end of a cassette."""
    story = {"provenance": {"answered_by": maker}} if maker else {"other": 1}
    text = yaml.safe_dump({"interactions": [{"a": "x\nmetadata:\ny"}], "metadata": story})
    (folder / f"{name}.yaml").write_text(text)


@pytest.mark.parametrize(
    ("makers", "words"),
    [
        ([], "of nothing yet"),
        ([SIMULATOR, SIMULATOR], "made with the simulator"),
        ([REAL], "of the real API"),
        ([REAL, SIMULATOR], "of several makers"),
        ([SIMULATOR, None], "of unknown makers"),
    ],
)
def test_a_folder_is_summed_up(tmp_path: Path, makers: list[str | None], words: str) -> None:
    """One maker is named, several are not mixed up, and an unknown one is not passed over."""
    for number, maker in enumerate(makers):
        write(tmp_path, str(number), maker)
    assert made_by(tmp_path) == words


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"metadata: [", b"a\nmetadata:\n- 1\n"])
def test_broken_files_are_of_unknown_makers(tmp_path: Path, content: bytes) -> None:
    """Showing a bench never fails because of a cassette."""
    write(tmp_path, "good", SIMULATOR)
    (tmp_path / "bad.yaml").write_bytes(content)
    (tmp_path / "folder.yaml").mkdir()
    assert made_by(tmp_path) == "of unknown makers"

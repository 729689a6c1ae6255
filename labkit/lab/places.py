"""Where things are: the project's root, its cassettes, and the mode the environment asks for."""

from __future__ import annotations

import os
import re
from pathlib import Path

from labkit.errors import UserError

__all__ = ["MODES", "cassette_path", "cassettes_of", "chosen_mode", "project_root"]

MODES = ("replay", "simulate", "record", "live")
NAME = re.compile(r"\w[\w.-]*")


def project_root(start: Path | None = None) -> Path:
    """Return the folder that holds `notebooks` and `cassettes`.

    Looked for from `start` (default: the current folder) upwards, then beside the package.
    Raises `UserError` if there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "notebooks").is_dir() and (folder / "cassettes").is_dir():
            return folder
    raise UserError(
        "No folder with notebooks and cassettes was found from here upwards. "
        "Run this inside a clone of the project."
    )


def cassettes_of(lesson: str) -> Path:
    """Return the folder of a lesson's cassettes; while recording, the one being filled.

    Raises `UserError` for what cannot be the name of a folder.
    """
    _check_name("lesson", lesson)
    staged = os.environ.get("LABKIT_STAGING")
    return (Path(staged) if staged else project_root() / "cassettes") / lesson


def cassette_path(folder: Path, name: str) -> Path:
    """Return the file of a cassette; raises `UserError` for what cannot be its name."""
    _check_name("cassette", name)
    return folder / f"{name}.yaml"


def _check_name(what: str, name: str) -> None:
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a {what}: use letters, digits, hyphens and dots.")


def chosen_mode(mode: str | None) -> str:
    """Return the mode asked for, or the environment's LABKIT_MODE, or replay.

    Raises `UserError` for a mode that does not exist.
    """
    wanted = mode or os.environ.get("LABKIT_MODE") or "replay"
    if wanted not in MODES:
        raise UserError(f"There is no mode {wanted!r}. Choose one of {', '.join(MODES)}.")
    return wanted

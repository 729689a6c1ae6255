"""Open JupyterLab at the start notebook: on this machine only, asking nothing of the internet."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence

from labkit.errors import UserError
from labkit.lab.places import project_root

__all__ = ["START", "command", "launch"]

START = "notebooks/00-start-here.ipynb"


def command(options: Sequence[str]) -> list[str]:
    """Return the command line that starts JupyterLab; later options win."""
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        START,
        "--ServerApp.ip=127.0.0.1",
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        *options,
    ]


def launch(options: Sequence[str]) -> int:
    """Run JupyterLab until it is stopped; return its exit code.

    Raises `UserError` where JupyterLab is not installed or there is no start notebook.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise UserError("JupyterLab is not installed here. Run: uv sync --extra lab")
    root = project_root()
    if not (root / START).is_file():
        raise UserError(f"{START} is missing. Restore it with: git checkout notebooks")
    try:
        return subprocess.run(command(options), cwd=root, check=False).returncode  # noqa: S603
    except KeyboardInterrupt:
        return 0

"""Open JupyterLab at the start notebook: on this machine only, asking nothing of the internet."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence

from labkit.errors import UserError
from labkit.lab.places import chosen_mode, project_root

__all__ = ["START", "command", "launch"]

START = "notebooks/00-start-here.ipynb"


def command(options: Sequence[str]) -> list[str]:
    """Return the command line that starts JupyterLab; later options win.

    JupyterLab refuses to run as root unless told to.  In a container there is often nobody
    else, and this server listens on loopback only.
    """
    root = ["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    return [
        sys.executable,
        "-m",
        "jupyterlab",
        "--ServerApp.root_dir=.",  # lessons and exercises alike
        f"--LabApp.default_url=/lab/tree/{START}",
        "--ServerApp.ip=127.0.0.1",
        "--LabApp.check_for_updates_class=jupyterlab.handlers.announcements.NeverCheckForUpdate",
        "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",
        *root,
        *options,
    ]


def launch(options: Sequence[str]) -> int:
    """Run JupyterLab until it is stopped; return its exit code.

    Raises `UserError` where JupyterLab is not installed, there is no start notebook, or
    LABKIT_MODE names a mode that does not exist.
    """
    if importlib.util.find_spec("jupyterlab") is None:
        raise UserError("JupyterLab is not installed here. Run: uv sync --extra lab")
    chosen_mode(None)
    root = project_root()
    if not (root / START).is_file():
        raise UserError(f"{START} is missing. Restore it with: git checkout notebooks")
    try:
        return subprocess.run(command(options), cwd=root, check=False).returncode  # noqa: S603
    except KeyboardInterrupt:
        return 0

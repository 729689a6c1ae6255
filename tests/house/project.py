"""Where the house rules look: the package's modules, the lessons, and what git tracks."""

import ast
import json
import subprocess
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Module:
    """A module as text, never imported: a counter-example is as easily written."""

    name: str
    source: str = field(repr=False)
    is_package: bool = False

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.source)

    @property
    def package(self) -> str:
        """What a relative import starts from."""
        return self.name if self.is_package else self.name.rpartition(".")[0]


def read_module(path: Path) -> Module:
    """Read a module of labkit, named by its path."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return Module(".".join(parts[:-1] if is_package else parts), path.read_text(), is_package)


def modules() -> list[Module]:
    """Read every module of labkit."""
    return [read_module(path) for path in sorted((ROOT / "labkit").rglob("*.py"))]


def lessons() -> dict[str, dict[str, Any]]:
    """Read every lesson: its path from the root, and its notebook."""
    paths = sorted((ROOT / "notebooks").glob("*.ipynb"))
    return {path.relative_to(ROOT).as_posix(): json.loads(path.read_text()) for path in paths}


def tracked() -> dict[str, str]:
    """Read every file that git tracks: its path from the root, and its text."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(errors="replace")
        for path in paths
        if path.is_file()
    }

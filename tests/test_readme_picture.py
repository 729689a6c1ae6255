"""The README's picture shows what the code does today."""

from __future__ import annotations

import runpy
from pathlib import Path

IMAGES = Path(__file__).parents[1] / "notebooks" / "images"


def test_the_readme_picture_is_what_the_code_draws() -> None:
    """Drawing it again gives the committed file, byte for byte."""
    drawn = runpy.run_path(str(IMAGES / "picture.py"))["draw"]()
    assert drawn == (IMAGES / "retry-timeline.svg").read_text(encoding="utf-8")

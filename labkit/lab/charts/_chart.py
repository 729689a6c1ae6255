"""A finished chart: its picture, the words that stand for it, and the figures it draws."""

from __future__ import annotations

import base64
import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

__all__ = ["Chart"]


@dataclass(frozen=True)
class Chart:
    """What the drawing functions return; a notebook shows it as a picture with alt text.

    `svg` is a complete SVG document, the same bytes for the same figures.  `alt` says in one
    or two sentences what the picture shows.  `figures` is a pandas table of exactly the rows
    drawn, in the caller's columns, for a cell to return or assert.
    """

    svg: str = field(repr=False)
    alt: str
    figures: pd.DataFrame = field(repr=False, compare=False)

    def _repr_mimebundle_(
        self, include: Iterable[str] | None = None, exclude: Iterable[str] | None = None
    ) -> dict[str, str]:
        """Offer the picture as an image with alt text, as plain SVG, and as words.

        JupyterLab shows `image/svg+xml` without any alt text, and not at all in a notebook
        nobody has run yet; an image element has neither fault, so front ends get both.
        """
        bundle = {
            "text/html": self._image_element(),
            "image/svg+xml": self.svg,
            "text/plain": self.alt,
        }
        wanted = set(include or bundle) - set(exclude or ())
        return {mime: content for mime, content in bundle.items() if mime in wanted}

    def _image_element(self) -> str:
        source = base64.b64encode(self.svg.encode()).decode()
        return f'<img alt="{html.escape(self.alt)}" src="data:image/svg+xml;base64,{source}">'

"""From a chart's description to a small, lasting SVG document.

The drawing library writes many elements and attributes that change nothing, and numbers to the
last digit.  What leaves here is small and the same bytes in every run, with numbers to a
hundredth of a pixel.  Drawings of this package never clip: clip paths need ids, the library
counts those through a whole process, and some web sites strip them and paint the path instead.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from labkit.lab.charts._theme import EDGE, FONT, PAINTS, PANEL, WIDTH, config, wrapped

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["render"]

NAMESPACE = "http://www.w3.org/2000/svg"
LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?|-?\d+(?:\.\d+)?e-?\d+")
IDLE = {
    "fill-opacity": "1",
    "opacity": "1",
    "stroke-opacity": "1",
    "stroke-width": "1",
    "text-anchor": "start",
    "transform": "translate(0,0)",
}
"""Attributes that say what holds anyway."""


def render(chart: Any, title: str, alt: str) -> str:
    """Draw an Altair chart as an SVG document of the course's look, without any network."""
    from xml.etree import ElementTree

    import vl_convert

    spec = chart.properties(title=wrapped(title)).to_dict()
    spec["config"] = config()
    drawn = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    root = ElementTree.fromstring(drawn)  # noqa: S314  (written by the line above)
    _strip(root)
    _clean(root)
    ElementTree.register_namespace("", NAMESPACE)
    width, height = max(WIDTH, _size(root, "width")), _size(root, "height")
    root.attrib = {
        "width": f"{width}",
        "height": f"{height}",
        "viewBox": f"0 0 {width} {height}",
        "class": "labkit-chart",
        "role": "img",
        "aria-label": alt,
        "font-family": FONT,
    }
    for place, element in enumerate(_preamble(title, width, height, drawn)):
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _size(root: Element, name: str) -> int:
    return round(float(root.get(name, "0")))


def _preamble(title: str, width: int, height: int, drawn: str) -> list[Element]:
    from xml.etree.ElementTree import Element

    name, style = Element(f"{{{NAMESPACE}}}title"), Element(f"{{{NAMESPACE}}}style")
    name.text, style.text = title, _dark_rules(drawn)
    panel = {
        "x": "0.5",
        "y": "0.5",
        "width": f"{width - 1}",
        "height": f"{height - 1}",
        "rx": "8",
        "fill": PANEL.light,
        "stroke": EDGE.light,
    }
    return [name, style, Element(f"{{{NAMESPACE}}}rect", panel)]


def _dark_rules(drawn: str) -> str:
    used = [paint for paint in PAINTS if paint.light in drawn or paint in (PANEL, EDGE)]
    rules = "".join(
        f'.labkit-chart [{part}="{paint.light}"]{{{part}:{paint.dark}}}'
        for paint in used
        for part in ("fill", "stroke")
    )
    return f"@media (prefers-color-scheme:dark){{{rules}}}"


def _strip(element: Element) -> None:
    """Take out what is never seen: empty groups and unpainted backgrounds."""
    for child in list(element):
        _strip(child)
        tag = child.tag.rpartition("}")[2]
        unpainted = tag == "path" and not {"fill", "stroke"} & child.attrib.keys()
        if unpainted or (tag == "g" and not len(child)):
            element.remove(child)


def _clean(element: Element) -> None:
    """Drop idle attributes, round numbers, and let groups that do nothing dissolve."""
    element.attrib = {
        name: value if value.startswith("#") else LONG_NUMBER.sub(_shorter, value)
        for name, value in element.attrib.items()
        if not name.startswith("aria-")
        and name not in ("class", "role", "pointer-events", "font-family")
        and IDLE.get(name) != value
    }
    children = []
    for child in element:
        _clean(child)
        children += list(child) if child.tag.endswith("}g") and not child.attrib else [child]
    element[:] = children


def _shorter(number: re.Match[str]) -> str:
    short = f"{float(number.group()):.2f}".rstrip("0").rstrip(".")
    return "0" if short == "-0" else short

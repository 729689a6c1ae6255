"""The rules a lesson keeps, each a function from its notebook to complaints."""

import re
from collections.abc import Iterator
from typing import Any

Cell = dict[str, Any]
Notebook = dict[str, Any]

MODEL_ID = re.compile(r"claude-(?:[a-z]+-)?(?:\d|preview)[\w.-]*")
FORBIDDEN_CODE = re.compile(r"[%!]\s*(?:uv )?pip\b|\bsys\.path\b")
MARKDOWN_PICTURE = re.compile(r"!\[\s*\]\(")
ATTRIBUTES = r"""(?:[^>"']|"[^"]*"|'[^']*')*"""
SHOWN_BY_TAG = re.compile(rf"<(?:img|svg)\b{ATTRIBUTES}>(?:\s*<title\b{ATTRIBUTES}>[^<]*)?")
ALT_TEXT = re.compile(r"""\b(?:alt|aria-label)\s*=\s*(?:"[^"]*\w|'[^']*\w)|<title[^>]*>[^<]*\w""")


def text_of(source: str | list[str]) -> str:
    """Join a text that the notebook format may keep as a list of lines."""
    return source if isinstance(source, str) else "".join(source)


def cells(notebook: Notebook, kind: str) -> Iterator[tuple[int, Cell, str]]:
    """Find the cells of a kind that are not empty: position, cell, source."""
    for position, cell in enumerate(notebook["cells"]):
        source = text_of(cell["source"])
        if cell["cell_type"] == kind and source.strip():
            yield position, cell, source


def source_faults(notebook: Notebook) -> list[str]:
    """Find installs, changes of the import path, and model ids where a role belongs."""
    found = [
        f"cell {position}: {match.group()}"
        for position, _, source in cells(notebook, "code")
        for match in FORBIDDEN_CODE.finditer(source)
    ]
    return found + [
        f"cell {position}: {match.group()}"
        for kind in ("code", "markdown")
        for position, _, source in cells(notebook, kind)
        for match in MODEL_ID.finditer(source)
    ]


def run_faults(notebook: Notebook) -> list[str]:
    """Find cells not run from top to bottom, and errors that no tag announces."""
    found = []
    for count, (position, cell, _) in enumerate(cells(notebook, "code"), start=1):
        if cell["execution_count"] != count:
            found.append(f"cell {position}: run as {cell['execution_count']}, not as {count}")
        tags = cell["metadata"].get("tags", [])
        failed = any(output["output_type"] == "error" for output in cell["outputs"])
        if failed and "raises-exception" not in tags:
            found.append(f"cell {position}: ends in an error")
    return found


def picture_faults(notebook: Notebook) -> list[str]:
    """Find pictures that say nothing to a reader who cannot see them."""
    found = [
        f"cell {position}: a picture in prose"
        for position, _, source in cells(notebook, "markdown")
        if MARKDOWN_PICTURE.search(source) or _mute(source)
    ]
    for position, cell, _ in cells(notebook, "code"):
        for output in cell["outputs"]:
            found += [f"cell {position}: {mime}" for mime in _mute_pictures(output)]
    return found


def _mute_pictures(output: dict[str, Any]) -> Iterator[str]:
    for mime, data in output.get("data", {}).items():
        alt = output["metadata"].get(mime, {}).get("alt", "")
        if mime in ("text/html", "image/svg+xml"):
            if _mute(text_of(data)) and not alt.strip():
                yield mime
        elif mime.startswith("image/") and not alt.strip():
            yield mime


def _mute(markup: str) -> bool:
    return any(not ALT_TEXT.search(tag) for tag in SHOWN_BY_TAG.findall(markup))

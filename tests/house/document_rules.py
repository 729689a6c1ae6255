"""The rules of the documentation: what it names exists."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
PYTHON = re.compile(r"^```python\n.*?^```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\]\(([^)\s]+)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
COMMENT = re.compile(r"\s#.*")
COMMAND = re.compile(r"(?:^|\s)labkit +(\S.*)")


def broken_links(markdown: str, folder: Path) -> list[str]:
    """Find relative links that lead nowhere from the folder."""
    prose = SPAN.sub("", FENCE.sub("", markdown))
    targets = [unquote(inline or reference) for inline, reference in LINK.findall(prose)]
    return [
        target
        for target in targets
        if not re.match(r"[a-z]+:|#", target) and not (folder / target.partition("#")[0]).exists()
    ]


def commands(markdown: str) -> Iterator[list[str]]:
    """Find the words after `labkit` in every command, whether in a block or in a line."""
    markdown = PYTHON.sub("", markdown)  # there it is a package
    for block in FENCE.findall(markdown) + SPAN.findall(FENCE.sub("", markdown)):
        for found in COMMAND.findall(COMMENT.sub("", block)):
            yield found.split()


def unknown_commands(markdown: str, program: Any) -> list[str]:
    """Find commands, subcommands and options that the program (a click command) lacks."""
    return [fault for words in commands(markdown) for fault in _unknown(words, program, "labkit")]


def _unknown(words: list[str], command: Any, path: str) -> Iterator[str]:
    """Walk down the program word by word; `a|b` stands for both."""
    options = {"--help"} | {option for parameter in command.params for option in parameter.opts}
    children = getattr(command, "commands", None)
    for position, word in enumerate(words):
        option = word.strip("[]").partition("=")[0]
        if option.startswith("--"):
            if option not in options:
                yield f"{path} {option}"
        elif children is not None:
            for name in word.split("|"):
                if name in children:
                    yield from _unknown(words[position + 1 :], children[name], f"{path} {name}")
                else:
                    yield f"{path} {name}"
            return


def listed_lessons(markdown: str) -> set[str]:
    """Find the lessons that a text links to."""
    return set(re.findall(r"\]\((notebooks/[^)#]+\.ipynb)", markdown))

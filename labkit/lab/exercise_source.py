"""Read an exercise's one source file: text in the percent format, taken apart at its markers.

    # title: Retry with exponential backoff
    # lesson: 05-retry
    # minutes: 30
    # difficulty: 3
    # importance: 5
    # %% [markdown] task             prose, each line behind "# "
    # %% setup                       optional: the imports of the answer
    # %% starter                     fails with NotImplementedError and nothing else
    # %% [markdown] hint 1           and hint 2, hint 3
    # %% solution
    # %% checks                      functions check_...(answer), see `labkit.lab.exercise_judge`
    # %% picture                     optional: picture(answers), see `labkit.lab.exercises`
    # %% wrong no jitter: all waited exactly
                                     runs after the solution, so it says only what differs;
                                     after the colon, a part of the message it must be met with

The file is never imported as a whole: its sections contradict each other on purpose.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labkit.errors import UserError
from labkit.lab.exercise_model import Code, Exercise, WrongAnswer

__all__ = ["read_exercise"]

MARKER = re.compile(
    r"# %%\s*(?P<markdown>\[markdown\])?\s*(?P<name>[^:]*?)\s*(?::\s*(?P<rest>.*))?"
)
METADATA = re.compile(r"#\s*(?P<name>\w+):\s*(?P<value>.*\S)")
HINTS = ("hint 1", "hint 2", "hint 3")
PROSE = ("task", *HINTS)
REQUIRED = (*PROSE, "starter", "solution", "checks")
OPTIONAL = ("setup", "picture")
WRONG = "wrong "
FEWEST_WRONG = 3
LIMITS = {"minutes": 600, "difficulty": 5, "importance": 5}


@dataclass(frozen=True, slots=True)
class _Section:
    name: str
    rest: str
    markdown: bool
    code: Code

    @property
    def prose(self) -> str:
        lines = (re.sub("^# ?", "", line) for line in self.code.text.splitlines())
        return "\n".join(lines).strip()


def read_exercise(path: Path) -> Exercise:
    """Read `exercises/NN-name/exercise.py`; `UserError`, in a sentence, if it is malformed."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{_short(path)} cannot be read ({error}).") from None
    starts = [number for number, line in enumerate(lines) if line.startswith("# %%")]
    facts = _metadata(path, lines[: starts[0]] if starts else lines)
    ends = [*starts[1:], len(lines)]
    sections = [_section(path, lines, *span) for span in zip(starts, ends, strict=True)]
    named = _by_name(path, sections)
    one, two, three = (named[hint].prose for hint in HINTS)
    return Exercise(
        **facts,
        folder=path.parent,
        task=named["task"].prose,
        hints=(one, two, three),
        setup=named["setup"].code if "setup" in named else Code("", path),
        starter=named["starter"].code,
        solution=named["solution"].code,
        checks=named["checks"].code,
        picture=named["picture"].code if "picture" in named else None,
        wrong=_wrong(path, [each for each in sections if each.name.startswith(WRONG)]),
    )


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _metadata(path: Path, lines: Sequence[str]) -> dict[str, Any]:
    found = {match["name"]: match["value"] for line in lines if (match := METADATA.match(line))}
    facts: dict[str, Any] = {}
    for field in ("title", "lesson", *LIMITS):
        if field not in found:
            raise UserError(f"{_short(path)} does not say its {field} at the top.")
        facts[field] = found[field]
    for field, most in LIMITS.items():
        value = facts[field]
        if not value.isdecimal() or not 1 <= int(value) <= most:
            raise UserError(f"{_short(path)}: {field} must be 1 to {most}, not {value!r}.")
        facts[field] = int(value)
    return facts


def _section(path: Path, lines: Sequence[str], start: int, end: int) -> _Section:
    """Return the section whose marker stands in `lines[start]`."""
    where = f"{_short(path)}, line {start + 1}"
    found = MARKER.fullmatch(lines[start].rstrip())
    name = found["name"] if found else ""
    markdown = bool(found and found["markdown"])
    known = name in (*REQUIRED, *OPTIONAL) or name.startswith(WRONG)
    if found is None or not known or markdown != (name in PROSE):
        raise UserError(f"{where}: {lines[start]!r} begins no section of an exercise.")
    body = lines[start + 1 : end]
    blank = next((number for number, line in enumerate(body) if line.strip()), None)
    if blank is None:
        raise UserError(f"{where}: the section {name!r} is empty.")
    code = Code("\n".join(body[blank:]).rstrip() + "\n", path, start + 1 + blank)
    if not markdown:
        _compile(code, name)
    return _Section(name, found["rest"] or "", markdown, code)


def _compile(code: Code, name: str) -> None:
    try:
        code.compiled()
    except SyntaxError as error:
        where = f"{_short(code.path)}, line {error.lineno}"
        raise UserError(f"{where}: the section {name!r} is not Python ({error.msg}).") from None


def _by_name(path: Path, sections: Sequence[_Section]) -> Mapping[str, _Section]:
    for name, times in Counter(section.name for section in sections).items():
        if times > 1:
            raise UserError(f"{_short(path)} has {times} sections called {name!r}.")
    named = {section.name: section for section in sections}
    for name in REQUIRED:
        if name not in named:
            raise UserError(f"{_short(path)} has no section {name!r}.")
    return named


def _wrong(path: Path, sections: Sequence[_Section]) -> tuple[WrongAnswer, ...]:
    for section in sections:
        if not section.rest:
            raise UserError(f"{_short(path)}: {section.name!r} names no message after a colon.")
    if len(sections) < FEWEST_WRONG:
        raise UserError(f"{_short(path)} needs at least {FEWEST_WRONG} wrong answers.")
    return tuple(
        WrongAnswer(each.name.removeprefix(WRONG), each.rest, each.code) for each in sections
    )

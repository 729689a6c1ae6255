"""What an exercise is: a task, a starter, three hints, a solution, checks and wrong answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

__all__ = ["Code", "Exercise", "WrongAnswer"]


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of Python: its text, the file it stands in, and the lines above it there."""

    text: str
    path: Path
    above: int = 0

    def compiled(self) -> CodeType:
        """Return it compiled, with the line numbers of its file; raises SyntaxError."""
        return compile("\n" * self.above + self.text, str(self.path), "exec")

    def run(self, namespace: dict[str, Any]) -> None:
        """Run it in a namespace."""
        exec(self.compiled(), namespace)  # noqa: S102


@dataclass(frozen=True, slots=True)
class WrongAnswer:
    """A typical wrong answer, and a part of the message that it must be met with.

    `code` runs after the solution, so that it need only say what differs.
    """

    name: str
    fragment: str
    code: Code


@dataclass(frozen=True, slots=True)
class Exercise:
    """One exercise; `lesson` is a notebook's name, difficulty and importance are 1 to 5."""

    folder: Path
    title: str
    lesson: str
    minutes: int
    difficulty: int
    importance: int
    task: str
    hints: tuple[str, str, str]
    setup: Code
    starter: Code
    solution: Code
    checks: Code
    picture: Code | None
    wrong: tuple[WrongAnswer, ...]

    @property
    def number(self) -> str:
        """The number by which a learner calls it, such as "05"."""
        return self.folder.name.partition("-")[0]

    def answered(self, *codes: Code) -> dict[str, Any]:
        """Return a fresh namespace in which the set-up and then `codes` have run."""
        namespace: dict[str, Any] = {"__name__": f"exercise_{self.number}"}
        for code in (self.setup, *codes):
            code.run(namespace)
        return namespace

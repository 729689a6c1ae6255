"""Judge an answer: run an exercise's checks on a namespace, and say one thing about the result.

Checks are the functions `check_...(answer)` of the source, in order.  `answer` is the namespace
in which the learner's cell has run.  The first line of a check's docstring says what holds once
it has passed; it raises `Wrong` with a message for the learner.  The first check that fails
speaks, the later ones do not run.
"""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable
from types import TracebackType
from typing import Any

from labkit.errors import UserError
from labkit.lab.exercise_guard import TooLong, alike, on_virtual_time, time_limit
from labkit.lab.exercise_model import Exercise
from labkit.lab.exercise_verdict import Verdict, Wrong

__all__ = ["ENDLESS", "LIMIT_S", "checks_of", "judge", "stopped", "tried"]

LIMIT_S = 20.0
"""Real seconds that one check may take; none needs more than a few, however slow the machine."""
ENDLESS = "Your code was stopped: it still ran after {:g} seconds. Look for a loop without end."

Check = Callable[[dict[str, Any]], None]


def checks_of(exercise: Exercise) -> dict[str, Check]:
    """Return the checks by what they say once they have passed; `UserError` if there are none."""
    namespace: dict[str, Any] = {"__name__": f"checks_{exercise.number}"}
    exercise.checks.run(namespace)
    checks = {
        (inspect.getdoc(value) or "").partition("\n")[0]: value
        for name, value in namespace.items()
        if name.startswith("check_")
    }
    if not checks or "" in checks:
        raise UserError(f"The checks of exercise {exercise.number} need names and docstrings.")
    return checks


def judge(exercise: Exercise, answer: dict[str, Any], *, limit: float = LIMIT_S) -> Verdict:
    """Return the verdict on the answer that lives in the namespace `answer`."""
    checked: list[str] = []
    for words, check in checks_of(exercise).items():
        verdict = tried(exercise, check, answer, limit)
        if verdict is not None:
            return Verdict(exercise.number, verdict.ending, verdict.message, tuple(checked))
        checked.append(words)
    return Verdict(exercise.number, "passed", checked=tuple(checked))


def tried(
    exercise: Exercise, act: Check, answer: dict[str, Any], limit: float = LIMIT_S
) -> Verdict | None:
    """Do something with an answer; return the verdict that comes of it, None if all went well."""
    verdict: Verdict | None = None
    with on_virtual_time(answer) as complaints, alike():
        try:
            with time_limit(limit):
                act(answer)
        except Wrong as wrong:
            verdict = Verdict(exercise.number, "wrong", str(wrong))
        except TooLong:
            verdict = Verdict(exercise.number, "broken", ENDLESS.format(limit))
        except (Exception, SystemExit) as error:
            verdict = stopped(exercise, error, answer)
    if complaints:
        return Verdict(exercise.number, "wrong", complaints[0])
    return verdict


def stopped(exercise: Exercise, error: BaseException, answer: dict[str, Any]) -> Verdict:
    """Return the verdict on an answer whose code raised; an error of anybody else is raised again.

    A `NotImplementedError` is the starter's way to say that nothing has been written yet.
    """
    line = _own_line(error.__traceback__, answer)
    if line is None:
        raise error
    if isinstance(error, NotImplementedError):
        return Verdict(exercise.number, "not started", str(error) or "the answer is still empty.")
    told = f"{type(error).__name__}: {error}".rstrip(": ")
    return Verdict(exercise.number, "broken", f"Your code stopped in {line} with {told}.")


def _own_line(trace: TracebackType | None, answer: dict[str, Any]) -> str | None:
    """Return the innermost line of the answer's own code in a traceback, None if it has none."""
    found = None
    while trace is not None:
        if trace.tb_frame.f_globals is answer:
            text = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).strip()
            found = f"line {trace.tb_lineno}" + (f", `{text}`," if text else "")
        trace = trace.tb_next
    return found

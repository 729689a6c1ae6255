"""A verdict says one thing: the first that is not right yet, in the learner's terms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from labkit.errors import UserError
from labkit.lab.exercise_judge import checks_of, judge
from labkit.lab.exercise_model import Code, Exercise
from labkit.lab.exercise_source import read_exercise
from labkit.lab.exercise_verdict import Verdict
from tests.lab.toy_exercise import SOURCE, make_project, section


@pytest.fixture
def toy(tmp_path: Path) -> Exercise:
    """The small exercise."""
    return read_exercise(make_project(tmp_path))


def answered(exercise: Exercise, text: str) -> dict[str, Any]:
    """Return the namespace of an answer, whose lines can be shown as a notebook's can."""
    path = exercise.folder / "answer.py"
    path.write_text(text)
    return exercise.answered(Code(text, path))


def test_the_starter_has_not_been_started(toy: Exercise) -> None:
    """What its NotImplementedError says is the message; there is no traceback in it."""
    verdict = judge(toy, toy.answered(toy.starter))
    assert str(verdict) == "Not started yet: write `double`."
    assert verdict.exit_code == 1


def test_a_right_answer_passes_and_is_told_what_was_checked(toy: Exercise) -> None:
    """The first lines of the checks' docstrings, in order."""
    verdict = judge(toy, toy.answered(toy.solution))
    assert str(verdict) == "Exercise 07: passed.\n  ✓ One becomes two.\n  ✓ Three becomes six."
    assert verdict.exit_code == 0


def test_the_first_check_that_fails_speaks(toy: Exercise) -> None:
    """Those before it count as passed, those after it are not run."""
    verdict = judge(toy, toy.answered(toy.wrong[0].code))
    assert verdict.checked == ("One becomes two.",)
    assert verdict.message == "You made 4 of 3, so it was added and not doubled."
    assert (verdict.ending, verdict.exit_code) == ("wrong", 1)
    assert len(str(judge(toy, toy.answered(toy.wrong[1].code))).splitlines()) == 2


def test_an_answer_that_raises_is_shown_its_own_line(toy: Exercise) -> None:
    """The innermost of its lines, and none of ours."""
    text = (
        "def half(number):\n    return number / 0\n\ndef double(number):\n    return half(number)"
    )
    verdict = judge(toy, answered(toy, text))
    told = "line 2, `return number / 0`, with ZeroDivisionError: division by zero."
    assert verdict.message == f"Your code stopped in {told}"
    assert verdict.exit_code == 2


def test_an_answer_that_ends_the_program_is_shown_its_line(toy: Exercise) -> None:
    """The kernel lives on."""
    verdict = judge(toy, answered(toy, "def double(number):\n    raise SystemExit(3)"))
    assert "in line 2, `raise SystemExit(3)`" in verdict.message


def test_a_part_that_is_still_to_be_written_is_not_finished(toy: Exercise) -> None:
    """Once a check has passed the answer has been started."""
    text = (
        "def double(number):\n    if number == 1:\n        return 2\n    raise NotImplementedError"
    )
    assert str(judge(toy, answered(toy, text))) == "Not finished yet: the answer is still empty."


def test_an_endless_answer_is_stopped_with_a_plain_message(toy: Exercise) -> None:
    """Nobody has to interrupt the kernel."""
    verdict = judge(toy, answered(toy, "def double(number):\n    while True: pass"), limit=0.1)
    assert verdict.message.startswith("Your code was stopped: it still ran after 0.1 seconds.")
    assert verdict.exit_code == 2


def test_an_answer_that_sleeps_for_real_is_wrong_even_if_its_result_is_right(toy: Exercise) -> None:
    """And nobody waits for it."""
    text = "import time\ndef double(number):\n    time.sleep(3600)\n    return 2 * number"
    assert "`time.sleep`" in judge(toy, answered(toy, text)).message


def test_an_answer_with_dice_gets_the_same_verdict_every_time(toy: Exercise) -> None:
    """Also where it throws Python's global ones."""
    text = "def double(number):\n    return random.random()"
    first, second = judge(toy, answered(toy, text)), judge(toy, answered(toy, text))
    assert first == second
    assert first.message.startswith("You made 0.")


def test_an_error_of_the_checks_is_not_blamed_on_the_answer(toy: Exercise) -> None:
    """An answer without the function makes the toy's own check fail with a KeyError."""
    with pytest.raises(KeyError):
        judge(toy, answered(toy, "x = 1"))


@pytest.mark.parametrize("checks", ["x = 1\n", "def check_one(answer):\n    pass\n"])
def test_checks_without_a_name_or_a_sentence_are_refused(tmp_path: Path, checks: str) -> None:
    """A passed check could not be told."""
    source = SOURCE.replace(section("checks"), f"# %% checks\n{checks}\n")
    with pytest.raises(UserError, match="need names and docstrings"):
        checks_of(read_exercise(make_project(tmp_path, source)))


def test_a_verdict_survives_the_way_between_processes() -> None:
    """As JSON, unchanged."""
    verdict = Verdict("07", "wrong", "You made 4 of `3` <i>", ("One becomes two.",))
    assert Verdict.from_json(verdict.to_json()) == verdict


def test_a_verdict_in_a_notebook_shows_code_as_code_and_markup_as_text() -> None:
    """What an answer produced cannot change the page."""
    shown = Verdict("07", "wrong", "You made `a<b>` <i>")._repr_html_()
    assert "<code>a&lt;b&gt;</code> &lt;i&gt;" in shown

"""An exercise's source file is read whole, or refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.errors import UserError
from labkit.lab.exercise_source import read_exercise
from tests.lab.toy_exercise import SOURCE, make_project, section


def test_everything_the_source_says_is_read(tmp_path: Path) -> None:
    """Metadata, prose without its comment signs, code, and wrong answers with their messages."""
    exercise = read_exercise(make_project(tmp_path))
    assert (exercise.number, exercise.title, exercise.lesson) == ("07", "Double it", "07-toy")
    assert (exercise.minutes, exercise.difficulty, exercise.importance) == (5, 1, 2)
    assert exercise.task == "## Your task\nWrite `double`."
    assert exercise.hints == ("Think of two.", "Multiply.", "`2 * number`")
    assert exercise.setup.text == "import random\n"
    wrong = [(each.name, each.fragment) for each in exercise.wrong]
    assert wrong[0] == ("adds one", "so it was added")
    assert len(wrong) == 3


def test_code_keeps_the_line_numbers_of_its_file(tmp_path: Path) -> None:
    """A section says where in the file it stands, so that an error in it can be found."""
    exercise = read_exercise(make_project(tmp_path))
    lines = SOURCE.splitlines()
    solution = exercise.solution.compiled()
    assert lines[exercise.solution.above] == "def double(number):"
    assert solution.co_filename.endswith("07-toy/exercise.py")
    answer = exercise.answered(exercise.solution)
    assert lines[answer["double"].__code__.co_firstlineno - 1] == "def double(number):"


def test_a_wrong_answer_runs_after_the_solution(tmp_path: Path) -> None:
    """It need only say what differs; the namespace is a fresh one every time."""
    exercise = read_exercise(make_project(tmp_path))
    adds = exercise.answered(exercise.solution, exercise.wrong[0].code)
    assert adds["double"](3) == 4
    assert exercise.answered(exercise.solution)["double"](3) == 6


def test_setup_and_picture_may_be_left_out(tmp_path: Path) -> None:
    """They are for exercises that need them."""
    source = SOURCE.replace(section("setup"), "").replace(section("picture"), "")
    exercise = read_exercise(make_project(tmp_path, source))
    assert exercise.picture is None
    assert exercise.answered(exercise.solution)["double"](2) == 4


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("", "does not say its title"),
        (SOURCE.replace("# minutes: 5\n", ""), "does not say its minutes"),
        (SOURCE.replace("difficulty: 1", "difficulty: 6"), "difficulty must be 1 to 5, not '6'"),
        (SOURCE.replace("minutes: 5", "minutes: some"), "minutes must be 1 to 600, not 'some'"),
        (SOURCE.replace(section("solution"), ""), "has no section 'solution'"),
        (SOURCE.replace(section("[markdown] hint 2"), ""), "has no section 'hint 2'"),
        (SOURCE + section("solution"), "2 sections called 'solution'"),
        (SOURCE + section("wrong squares"), "2 sections called 'wrong squares'"),
        (SOURCE.replace(section("wrong squares"), ""), "at least 3 wrong answers"),
        (SOURCE.replace("adds one: so it was added", "adds one"), "'wrong adds one' names no"),
        (SOURCE.replace("# %% starter", "# %% start"), "'# %% start' begins no section"),
        (SOURCE.replace("# %% starter", "# %%"), "'# %%' begins no section"),
        (SOURCE.replace("# %% starter", "# %% [markdown] starter"), "begins no section"),
        (SOURCE.replace("# %% [markdown] task", "# %% task"), "begins no section"),
        (SOURCE.replace("import random\n", ""), "the section 'setup' is empty"),
        (SOURCE.replace("return 2 * number", "return 2 *"), "'solution' is not Python"),
    ],
)
def test_a_malformed_source_is_refused_in_a_sentence(
    tmp_path: Path, source: str, complaint: str
) -> None:
    """The sentence names the file and what is wrong with it."""
    path = make_project(tmp_path, source)
    with pytest.raises(UserError) as caught:
        read_exercise(path)
    assert str(caught.value).startswith("07-toy/exercise.py")
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_fault_in_a_section_is_given_its_line(tmp_path: Path) -> None:
    """The line is that of the file, not of the section."""
    source = SOURCE.replace("return 2 * number", "return 2 *")
    line = source.splitlines().index("    return 2 *") + 1
    with pytest.raises(UserError, match=f"line {line}: "):
        read_exercise(make_project(tmp_path, source))


def test_a_source_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """A missing file and one that is no text are met alike."""
    path = make_project(tmp_path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="cannot be read"):
        read_exercise(path)
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        read_exercise(path)

"""What is wrong with a row is said before anything is sent, in one sentence that names it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.batch_rows import read_row
from labkit.errors import UserError
from tests.batching import Bench, row, rows

WRONG: list[tuple[Any, str]] = [
    (row(""), "custom_id ''"),
    (row("a b"), "custom_id 'a b'"),
    (row("é"), "letters, digits, hyphens or underscores"),
    (row("x" * 65), "1 to 64"),
    (row("line\n"), "custom_id 'line"),
    ({**row("a"), "custom_id": 7}, "custom_id 7"),
    ({"custom_id": "a"}, "must have a custom_id and params"),
    ({**row("a"), "extra": 1}, "nothing else"),
    ("a", "must have a custom_id"),
    ({"custom_id": "a", "params": []}, "no Messages request"),
    ({"custom_id": "a", "params": {"model": "m"}}, "without max_tokens and messages"),
    (row("a", stream=True), "asks for stream"),
    (row("a", speed="fast"), "asks for speed"),
    (row("a", max_tokens=0), "max_tokens of 0"),
    (row("a", max_tokens="many"), "max_tokens of 'many'"),
    (row("a", metadata={1, 2}), "not plain JSON"),
    (row("a", temperature=float("nan")), "not plain JSON"),
    (row("a", "\ud800"), "not plain JSON"),
]


@pytest.mark.parametrize(("wrong", "says"), WRONG)
def test_a_wrong_row_is_named_with_its_fault(tmp_path: Path, wrong: object, says: str) -> None:
    """Nothing has been sent or kept, and the sound rows can be given afterwards."""
    bench = Bench(tmp_path)
    with bench.job() as job:
        with pytest.raises(UserError, match=r"^Row 3 ") as told:
            job.give([row("one"), row("two"), wrong])  # type: ignore[list-item]
        assert says in str(told.value)
        assert (bench.calls, job.counts.rows) == ([], 0)
        assert job.give(rows(2)) == 2


def test_a_row_of_64_characters_is_sound() -> None:
    """The API's own limit is ours, since the names on the wire are others."""
    custom_id, params = read_row(1, row("x-_9" * 16))
    assert custom_id == "x-_9" * 16
    assert params.startswith('{"model":"claude-haiku-5-5","max_tokens":50,')


def test_a_repeated_custom_id_names_both_rows(tmp_path: Path) -> None:
    """The API would refuse the whole batch for it; two batches would not even notice."""
    with Bench(tmp_path).job() as job:
        with pytest.raises(UserError, match=r"Rows 2 and 4 have the same custom_id 'b'"):
            job.give([row("a"), row("b"), row("c"), row("b")])
        assert job.counts.rows == 0


def test_no_rows_are_no_job(tmp_path: Path) -> None:
    """An empty job is a mistake, and it says so."""
    with Bench(tmp_path).job() as job, pytest.raises(UserError, match="at least one row"):
        job.give([])


def test_an_iterable_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """Rows are taken in as a whole or not at all."""

    def failing() -> Iterator[dict[str, Any]]:
        yield row("a")
        raise OSError("the file is gone")

    with Bench(tmp_path).job() as job:
        with pytest.raises(OSError, match="gone"):
            job.give(failing())
        assert job.give(rows(3)) == 3


def test_the_same_rows_may_be_given_again_but_no_others(tmp_path: Path) -> None:
    """A program that is started again goes on; another job needs another file."""
    bench = Bench(tmp_path)
    with bench.job() as job:
        job.give(rows(3))
    with bench.job() as job:
        assert job.give(rows(3)) == 3
        for others in (rows(2), rows(4), [*rows(2), row("row-2", "Why?")], []):
            with pytest.raises(UserError):
                job.give(others)
        assert job.counts.rows == 3

"""Several notebooks at once: every one is seen, and the exit code says what happened."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from labkit.errors import CassetteBroken, UserError
from labkit.lab import checking
from labkit.lab.checking import check_all, record_all
from labkit.lab.recording import LiveBudget
from tests.lab.mini_project import MiniProject

KEY = "sk-ant-" + "api03-AbC_123-xyz"
Work = Callable[..., Any]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MiniProject:
    """A project of three lessons."""
    project = MiniProject(tmp_path)
    for name in ("01-one", "02-two", "03-three"):
        project.write("1", name=name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LABKIT_MODE", "replay")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    return project


@pytest.fixture
def instead(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Work], None]:
    """Put something quicker in the place of running notebooks."""
    return lambda name, work: monkeypatch.setattr(checking, name, work)


def test_all_well_is_zero(instead: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Each notebook has its line, and the sum comes last."""
    instead("differences", lambda _: "")
    assert check_all([], update=False) == 0
    out = capsys.readouterr().out
    assert [name in out for name in ("01-one", "02-two", "03-three")] == [True] * 3
    assert "3 of 3 notebooks: ok" in out


def test_a_difference_is_one_and_the_others_are_still_checked(
    instead: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first that fails does not hide the second."""
    instead("differences", lambda path: "" if "02" in path.name else f"[b]odd[/b] in {path.stem}")
    assert check_all([], update=False) == 1
    out = capsys.readouterr().out
    assert "[b]odd[/b] in 01-one" in out
    assert "[b]odd[/b] in 03-three" in out
    assert "1 of 3 notebooks: ok" in out


def test_only_the_end_of_a_long_story_is_shown(
    instead: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """What matters in a test report comes last."""
    instead("differences", lambda _: "\n".join(f"line {n}" for n in range(500)))
    check_all(["01"], update=False)
    out = capsys.readouterr().out
    assert "line 499" in out
    assert "line 300" not in out


def test_updating_reports_what_could_not_be_run(
    instead: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lesson that stops is told, and the next one is updated."""
    updated: list[str] = []

    def work(path: Path) -> None:
        if "01" in path.name:
            raise UserError("01 stopped in a cell")
        updated.append(path.stem)

    instead("update", work)
    assert check_all([], update=True) == 1
    assert updated == ["02-two", "03-three"]
    assert "01 stopped in a cell" in capsys.readouterr().out


def test_a_broken_cassette_stops_everything(instead: Any) -> None:
    """Nothing that is compared against a broken bench means anything."""

    def work(_: Path) -> str:
        raise CassetteBroken("restore it")

    instead("differences", work)
    with pytest.raises(CassetteBroken, match="restore it"):
        check_all([], update=False)


@pytest.mark.parametrize(
    "work", [lambda: check_all([], update=False), lambda: record_all([], live=False, budget=None)]
)
def test_a_wrong_mode_is_said_before_anything_runs(
    work: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped LABKIT_MODE would otherwise go unnoticed here."""
    monkeypatch.setenv("LABKIT_MODE", "nonsense")
    with pytest.raises(UserError, match="no mode 'nonsense'"):
        work()


def test_recording_for_real_needs_key_and_budget_before_anything_runs(
    instead: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is started that could not be finished."""
    instead("record", lambda *_: pytest.fail("started"))
    for budget in ("none", "0", None):
        with pytest.raises(UserError, match="budget in dollars"):
            record_all([], live=True, budget=budget)
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(UserError, match="ANTHROPIC_API_KEY"):
        record_all([], live=True, budget="1")


def test_one_budget_holds_for_all_notebooks(instead: Any) -> None:
    """What the first lesson spends the second does not have."""
    had: list[Decimal] = []

    def work(_: Path, money: LiveBudget) -> None:
        had.append(money.left)
        money.left -= Decimal("0.2")

    instead("record", work)
    assert record_all([], live=True, budget="0.50") == 0
    assert had == [Decimal("0.5"), Decimal("0.3"), Decimal("0.1")]


def test_without_live_there_is_no_budget(instead: Any) -> None:
    """The simulator costs nothing."""
    seen: list[Any] = []
    instead("record", lambda _, money: seen.append(money))
    assert record_all(["02"], live=False, budget=None) == 0
    assert seen == [None]


def test_an_empty_project_is_an_error(project: MiniProject) -> None:
    """Nothing to do is not a success."""
    for path in project.root.glob("notebooks/*"):
        path.unlink()
    with pytest.raises(UserError, match="no notebooks"):
        check_all([], update=False)

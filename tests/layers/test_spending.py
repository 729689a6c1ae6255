"""Accounts in memory and on disk: nobody crosses a limit, and nothing spent is ever forgotten."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from labkit.errors import UserError
from labkit.layers.spending import Line, Spending, SpendingBook
from labkit.layers.spending_file import SpendingFile

Make = Callable[[], SpendingBook]
CENT = Decimal("0.01")
amounts = st.decimals(Decimal(0), Decimal(2), places=4)


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Make the same book of either kind."""
    if request.param == "memory":
        return Spending
    return lambda: SpendingFile(tmp_path / "spent.sqlite")


def test_a_reservation_counts_until_it_is_settled(make: Make) -> None:
    """What may have been spent is spent."""
    book = make()
    line = book.reserve("a", 3 * CENT, 5 * CENT, "m")
    assert line is not None
    assert (book.spent("a"), book.spent("b")) == (3 * CENT, Decimal(0))
    book.settle(line, CENT, "ok")
    assert book.spent("a") == CENT
    assert book.lines() == [Line(line, "a", "m", 3 * CENT, CENT, "ok")]
    assert book.lines("b") == []


def test_what_would_cross_the_limit_is_not_reserved(make: Make) -> None:
    """Up to the limit, and not a millionth more."""
    book = make()
    assert book.reserve("a", 5 * CENT, 5 * CENT, "m") is not None
    assert book.reserve("a", Decimal("1e-12"), 5 * CENT, "m") is None
    assert book.reserve("b", Decimal("1e-12"), 5 * CENT, "m") is not None


def test_an_attempt_nobody_heard_of_keeps_its_reservation(make: Make) -> None:
    """Its end is known and its cost is not, until somebody says what it was."""
    book = make()
    line = book.reserve("a", 3 * CENT, 5 * CENT, "m") or 0
    book.settle(line, None, "given up")
    assert book.spent("a") == 3 * CENT
    assert book.lines()[0].end == "given up"
    book.settle(line, Decimal(0), "looked up in the console")
    assert book.spent("a") == 0
    book.settle(line, None, "late news")
    assert book.lines()[0].cost == 0


def test_a_line_that_is_not_there_cannot_be_settled(make: Make) -> None:
    """A mistyped number changes nothing."""
    with pytest.raises(UserError, match="no line 7"):
        make().settle(7, CENT, "ok")


def test_old_lines_go_and_their_sums_stay() -> None:
    """Memory stays flat; what is still open is never forgotten."""
    book = Spending(keep=3)
    first = book.reserve("a", CENT, Decimal(1), "m")
    for _ in range(10):
        book.settle(book.reserve("a", CENT, Decimal(1), "m") or 0, CENT, "ok")
    assert book.spent("a") == 11 * CENT
    assert [line.number for line in book.lines()] == [first, 9, 10, 11]


class Accounts(RuleBasedStateMachine):
    """Two accounts under any order of reserving and settling."""

    @initialize()
    def begin(self) -> None:
        """Begin with nothing spent."""
        self.book = Spending()
        self.counted: dict[int, tuple[str, Decimal]] = {}

    @rule(account=st.sampled_from("ab"), amount=amounts)
    def reserve(self, account: str, amount: Decimal) -> None:
        """Reserve, if it fits."""
        before = self.book.spent(account)
        line = self.book.reserve(account, amount, Decimal(5), "m")
        assert (line is None) is (before + amount > 5)
        if line is not None:
            self.counted[line] = account, amount

    @rule(data=st.data(), share=st.none() | st.decimals(Decimal(0), Decimal(1), places=2))
    def settle(self, data: st.DataObject, share: Decimal | None) -> None:
        """Settle at no more than was reserved."""
        still = [line.number for line in self.book.lines() if line.cost is None]
        if still:
            number = data.draw(st.sampled_from(still))
            account, amount = self.counted[number]
            cost = None if share is None else amount * share
            self.book.settle(number, cost, "ok")
            self.counted[number] = account, amount if cost is None else cost

    @invariant()
    def sums_are_those_of_the_lines(self) -> None:
        """Each account holds its lines, exactly, and never more than its limit."""
        for account in "ab":
            lines = sum(amount for name, amount in self.counted.values() if name == account)
            assert self.book.spent(account) == lines <= 5


TestAccounts = Accounts.TestCase


@given(st.lists(st.tuples(amounts, st.none() | amounts), max_size=8))
def test_both_kinds_keep_the_same_accounts(story: list[tuple[Decimal, Decimal | None]]) -> None:
    """On disk as in memory, to the last digit."""
    with TemporaryDirectory() as folder:
        _compare(story, [Spending(), SpendingFile(Path(folder, "spent.sqlite"))])


def _compare(story: list[tuple[Decimal, Decimal | None]], books: list[SpendingBook]) -> None:
    for reserved, cost in story:
        lines = [book.reserve("a", reserved, Decimal(9), "m") for book in books]
        assert lines[0] == lines[1]
        for book, line in zip(books, lines, strict=True):
            if line is not None:
                book.settle(line, cost, "ok")
    assert books[0].spent("a") == books[1].spent("a")
    assert books[0].lines() == books[1].lines()


DYING = """
import os, signal, sys
from decimal import Decimal
from labkit.layers.spending_file import SpendingFile
book = SpendingFile(sys.argv[1])
book.settle(book.reserve("a", Decimal("0.10"), Decimal(1), "m"), Decimal("0.03"), "ok")
book.reserve("a", Decimal("0.20"), Decimal(1), "m")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_under_way_at_a_crash_counts_as_spent(tmp_path: Path) -> None:
    """After kill -9 the reservation is there, and somebody may say what it came to."""
    path = tmp_path / "spent.sqlite"
    subprocess.run([sys.executable, "-c", DYING, str(path)], check=False)
    book = SpendingFile(path)
    assert book.spent("a") == Decimal("0.23")
    (lost,) = [line for line in book.lines() if line.cost is None]
    assert (lost.reserved, lost.end) == (Decimal("0.20"), None)
    assert book.reserve("a", Decimal("0.78"), Decimal(1), "m") is None
    book.settle(lost.number, Decimal(0), "never sent")
    assert book.spent("a") == Decimal("0.03")


RACING = """
import sys
from decimal import Decimal
from labkit.layers.spending_file import SpendingFile
book = SpendingFile(sys.argv[1])
for _ in range(30):
    book.reserve("a", Decimal("0.01"), Decimal("0.40"), "m")
"""


def test_processes_together_do_not_cross_a_limit(tmp_path: Path) -> None:
    """Three of them want 90 cents of the 40 there are."""
    path = tmp_path / "spent.sqlite"
    command = [sys.executable, "-c", RACING, str(path)]
    for process in [subprocess.Popen(command) for _ in range(3)]:
        assert process.wait() == 0
    book = SpendingFile(path)
    assert book.spent("a") == Decimal("0.40")
    assert len(book.lines()) == 40


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    """What somebody spends is nobody else's business."""
    book = SpendingFile(tmp_path / "spent.sqlite")
    assert stat.S_IMODE(book.path.stat().st_mode) == 0o600
    book.close()
    with pytest.raises(UserError, match="nothing is sent"):
        book.reserve("a", CENT, CENT, "m")


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """Neither a text nor another program's database is written into."""
    text = tmp_path / "letter.txt"
    text.write_text("Dear Ann, " * 100)
    with pytest.raises(UserError, match=r"letter\.txt"):
        SpendingFile(text)
    assert text.read_text().startswith("Dear Ann")
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as db:
        db.execute("CREATE TABLE mine (x)")
    db.close()
    with pytest.raises(UserError, match="something else"):
        SpendingFile(other)
    with pytest.raises(UserError, match="nothing is sent"):
        SpendingFile(tmp_path / "no folder" / "spent.sqlite")

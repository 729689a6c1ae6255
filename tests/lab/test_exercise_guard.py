"""While an answer is checked it can neither wait for real, nor run on for ever, nor be lucky."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from labkit.lab.exercise_guard import TooLong, alike, on_virtual_time, time_limit


def answer(code: str) -> dict[str, Any]:
    """Run code as a learner's cell and return its namespace."""
    namespace: dict[str, Any] = {"__name__": "answer"}
    exec(code, namespace)  # noqa: S102
    return namespace


def endless() -> None:
    """Loop as a learner may by mistake."""
    while True:
        pass


def test_an_endless_loop_is_stopped() -> None:
    """However tight the loop is."""
    with pytest.raises(TooLong), time_limit(0.05):
        endless()


def test_a_general_except_does_not_catch_the_limit() -> None:
    """An answer that expects any exception is stopped all the same."""
    loop = answer(
        "def loop():\n    while True:\n        try:\n            while True: pass\n"
        "        except Exception:\n            pass"
    )["loop"]
    with pytest.raises(TooLong), time_limit(0.05):
        loop()


def test_what_ends_in_time_is_left_alone() -> None:
    """The limit is gone once the work is done."""
    with time_limit(60):
        total = sum(range(100))
    assert total == 4950


@pytest.mark.parametrize(
    "code",
    [
        "import time\ndef act(): time.sleep(3600)",
        "from time import sleep\ndef act(): sleep(3600)",
        "from time import sleep as doze\ndef act(): doze(3600)",
        "def act():\n    import time\n    time.sleep(3600)",
        "def act():\n    from time import sleep\n    sleep(3600)",
    ],
)
def test_a_real_sleep_is_skipped_and_told(code: str) -> None:
    """However the function was imported."""
    namespace = answer(code)
    with on_virtual_time(namespace) as complaints:
        namespace["act"]()
    assert len(complaints) == 1
    assert "`time.sleep`" in complaints[0]


@pytest.mark.parametrize("clock", ["time", "monotonic", "perf_counter", "monotonic_ns"])
def test_reading_the_machines_clock_is_told(clock: str) -> None:
    """The reading itself goes on as usual."""
    namespace = answer(f"import time\ndef act(): return time.{clock}()")
    with on_virtual_time(namespace) as complaints:
        assert namespace["act"]() > 0
    assert "`now = yield Now()`" in complaints[0]


def test_other_code_keeps_its_clock() -> None:
    """The kernel's own threads, and labkit itself, are nobody's answer."""
    with on_virtual_time(answer("")) as complaints:
        before = time.monotonic()
        time.sleep(0)
        assert time.monotonic() >= before
    assert complaints == []


def test_everything_is_put_back() -> None:
    """In the module and in the answer, also after an error."""
    namespace = answer("from time import sleep")
    sleep, monotonic = time.sleep, time.monotonic

    def fail() -> None:
        with on_virtual_time(namespace):
            assert namespace["sleep"] is not sleep
            raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert (time.sleep, time.monotonic, namespace["sleep"]) == (sleep, monotonic, sleep)


def test_global_dice_fall_alike_and_are_put_back() -> None:
    """Two checks see the same numbers, and the learner's own sequence goes on undisturbed."""
    random.seed(42)
    expected = [random.random(), random.random()]
    random.seed(42)
    first = random.random()
    with alike():
        one = random.random()
    with alike():
        other = random.random()
    assert one == other
    assert [first, random.random()] == expected

"""What trimming costs a turn: a window that remembers, beside LangChain and a naive recount.

    uv run python benchmarks/context.py [--turns 100 1000 10000] [--rounds 9]

Each works on the same conversation of so many turns, which grows by one turn for every timing,
as in a chat loop.  They take turns, so a busy machine slows all of them.  The times are
microseconds of CPU, medians.  A window that remembers is flat; a recount grows with the
history.  The archive of conversations has a benchmark of its own, `archive.py`.
"""

from __future__ import annotations

import argparse
import gc
import platform
import time
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import version
from statistics import median
from typing import Any

from labkit.context import Blocks, Window, estimate_request

MODEL = "claude-opus-5-5"
BUDGET = 16_000
QUESTION, ANSWER = "Why do queues grow? " * 12, "Because work arrives faster than it is done. " * 18
IN_A_ROW = 4
FLAT = 2.0
"""At most so many times the time of the shortest history: a machine is never quite idle."""
Turn = Callable[[], int]


def main() -> None:
    """Time a turn of each, for every length of history, and say whether labkit's is flat."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--turns", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--rounds", type=int, default=9, help="rounds of a few turns each")
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()}, langchain-core {version('langchain-core')},", end=" "
    )
    print(f"{options.rounds} rounds; a budget of {BUDGET:,} tokens; µs of CPU a turn")
    print(f"{'turns':>7} {'labkit':>10} {'naive recount':>15} {'LangChain':>12}")
    own = []
    for turns in options.turns:
        contenders = [remembering(turns), recounting(turns), langchain(turns)]
        times = measured(contenders, options.rounds)
        own.append(times[0])
        print(f"{turns:7,} {times[0]:10,.0f} {times[1]:15,.0f} {times[2]:12,.0f}")
    growth = max(own) / own[0]
    verdict = "met" if growth <= FLAT else "MISSED"
    print(f"labkit, longest over shortest: {growth:.3f}; target {FLAT}: {verdict}")


def measured(contenders: Sequence[Turn], rounds: int) -> list[float]:
    """Return the median microseconds of each.

    In every round each has a few turns in a row; the first does not count, as the one before has
    left the processor's caches full of its own history.
    """
    times: list[list[float]] = [[] for _ in contenders]
    for _ in range(rounds):
        for turn, found in zip(contenders, times, strict=True):
            gc.collect()
            gc.disable()
            assert 0 < turn() <= BUDGET
            for _ in range(IN_A_ROW):
                start = time.process_time()
                turn()
                found.append((time.process_time() - start) * 1e6)
            gc.enable()
    return [median(found) for found in times]


def conversation(turns: int) -> list[Any]:
    """Return a history in which it is the assistant's turn."""
    pair = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}]
    return [dict(message) for _ in range(turns - 1) for message in pair] + [dict(pair[0])]


def grow(history: list[Any]) -> None:
    """Add the answer and the next question."""
    history.append({"role": "assistant", "content": ANSWER})
    history.append({"role": "user", "content": QUESTION})


def remembering(turns: int) -> Turn:
    """A turn of labkit's window, which has read the history as it grew."""
    history, window = conversation(turns), Window(Blocks(BUDGET, BUDGET // 2))

    def turn() -> int:
        grow(history)
        return window.fit({"model": MODEL, "max_tokens": 500, "messages": history}).tokens

    return turn


def recounting(turns: int) -> Turn:
    """A turn of what one writes first: count everything, drop from the front until it fits."""
    history = conversation(turns)

    def turn() -> int:
        grow(history)
        sizes = [estimate_request({"model": MODEL, "messages": [each]}) for each in history]
        total, start = sum(sizes), 0
        while total > BUDGET:
            total -= sizes[start] + sizes[start + 1]
            start += 2
        return estimate_request({"model": MODEL, "messages": history[start:]})

    return turn


def langchain(turns: int) -> Turn:
    """A turn of `trim_messages` with the settings its documentation recommends for chat."""
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, trim_messages
    from langchain_core.messages.utils import count_tokens_approximately

    history: list[BaseMessage] = [
        (HumanMessage if each["role"] == "user" else AIMessage)(content=each["content"])
        for each in conversation(turns)
    ]

    def turn() -> int:
        history.extend([AIMessage(content=ANSWER), HumanMessage(content=QUESTION)])
        kept = trim_messages(
            history,
            max_tokens=BUDGET,
            token_counter="approximate",  # noqa: S106
            start_on="human",
            include_system=True,
        )
        return count_tokens_approximately(kept)

    return turn


if __name__ == "__main__":
    warnings.simplefilter("error")
    main()

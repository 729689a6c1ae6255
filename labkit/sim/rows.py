"""What a fleet leaves behind: a row for each call, attempt and note, and where the rows go."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from labkit.flow import Note, Outcome
from labkit.sim.fates import Fate
from labkit.sim.fleet import Call

__all__ = ["AttemptRow", "CallRow", "Kept", "NoteRow", "Tally", "ToFiles"]


class CallRow(NamedTuple):
    """One call that has ended: how, after how many attempts, and when (seconds)."""

    call: int
    kind: str
    start_s: float
    end_s: float
    ok: bool
    reason: str
    attempts: int

    @classmethod
    def of(cls, call: Call, now: float, outcome: Outcome) -> Self:
        """Return the row of a call that ends now."""
        arrival = call.arrival
        return cls(
            call.number, arrival.kind, arrival.at, now, outcome.ok, outcome.reason, call.attempts
        )


class AttemptRow(NamedTuple):
    """One attempt that has ended; `status` is 0 without a response.

    Tokens are those billed, divided as in the API's `usage`: `input_tokens` are the uncached ones.
    """

    call: int
    attempt: int
    model: str
    start_s: float
    end_s: float
    status: int
    reason: str
    input_tokens: int
    cache_read_tokens: int
    cache_written_5m: int
    cache_written_1h: int
    output_tokens: int

    @classmethod
    def of(cls, call: Call, now: float, answer: Fate) -> Self:
        """Return the row of a call's latest attempt, which ends now."""
        outcome, plan = answer.outcome, answer.plan
        return cls(
            call.number,
            call.attempts,
            call.model,
            call.sent_at,
            now,
            outcome.status or 0,
            outcome.reason,
            plan.uncached,
            plan.read,
            plan.written_5m,
            plan.written_1h,
            answer.output_tokens,
        )


class NoteRow(NamedTuple):
    """What a layer noted during a call, and when (seconds)."""

    call: int
    at_s: float
    note: str
    attributes: dict[str, Any]


class Tally:
    """Counts and forgets."""

    def __init__(self) -> None:
        self.calls = 0
        self.answered = 0
        self.attempts = 0

    def call(self, call: Call, now: float, outcome: Outcome) -> None:  # noqa: ARG002
        """Count a call."""
        self.calls += 1
        self.answered += outcome.ok

    def attempt(self, call: Call, now: float, answer: Fate) -> None:  # noqa: ARG002
        """Count an attempt."""
        self.attempts += 1

    def note(self, call: Call, now: float, note: Note) -> None:
        """Let a note go."""


class Kept:
    """Keeps every row, for tables."""

    def __init__(self) -> None:
        self.calls: list[CallRow] = []
        self.attempts: list[AttemptRow] = []
        self.notes: list[NoteRow] = []

    def call(self, call: Call, now: float, outcome: Outcome) -> None:
        """Keep a call."""
        self.calls.append(CallRow.of(call, now, outcome))

    def attempt(self, call: Call, now: float, answer: Fate) -> None:
        """Keep an attempt."""
        self.attempts.append(AttemptRow.of(call, now, answer))

    def note(self, call: Call, now: float, note: Note) -> None:
        """Keep a note."""
        self.notes.append(NoteRow(call.number, now, note.name, dict(note.attributes)))


class ToFiles(Tally):
    """Writes `calls.csv`, `attempts.csv` and `notes.csv` into a folder, and keeps nothing.

    The attributes of a note are JSON.  Use it as a context manager.  Raises OSError where the
    folder or its files cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [
            (folder / f"{name}.csv").open("w", encoding="utf-8", newline="")
            for name in ("calls", "attempts", "notes")
        ]
        self._calls, self._attempts, self._notes = map(csv.writer, self._files)
        self._calls.writerow(CallRow._fields)
        self._attempts.writerow(AttemptRow._fields)
        self._notes.writerow(NoteRow._fields)

    def call(self, call: Call, now: float, outcome: Outcome) -> None:
        """Write a call."""
        super().call(call, now, outcome)
        self._calls.writerow(CallRow.of(call, now, outcome))

    def attempt(self, call: Call, now: float, answer: Fate) -> None:
        """Write an attempt."""
        super().attempt(call, now, answer)
        self._attempts.writerow(AttemptRow.of(call, now, answer))

    def note(self, call: Call, now: float, note: Note) -> None:
        """Write a note."""
        self._notes.writerow((call.number, now, note.name, json.dumps(note.attributes)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for file in self._files:
            file.close()

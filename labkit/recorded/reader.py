"""Read files of recorded exchanges, whoever recorded them and in whatever shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from labkit.errors import UserError
from labkit.recorded.body import Parsed, parse_text, text_of
from labkit.recorded.call import RecordedCall
from labkit.recorded.exchange import exchanges
from labkit.recorded.rows import CUT, rows_of_exchange, rows_of_value
from labkit.recorded.shapes import printable
from labkit.recorded.tolerant_yaml import read_yaml

__all__ = ["Reading", "Remark", "read"]

CASSETTE_MARK = re.compile(r"^(interactions|http_interactions|- request|request):", re.MULTILINE)
AGAIN = "record it again or fetch a whole copy"


@dataclass(frozen=True, slots=True)
class Remark:
    """One sentence about a file: `failed` if it could not be read, else why it has no calls."""

    file: str
    sentence: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """All calls found, in the order of the files, and what there is to say about files."""

    calls: tuple[RecordedCall, ...]
    remarks: tuple[Remark, ...]

    @property
    def exit_code(self) -> int:
        """Give 2 if a file could not be read, or if no file held a call at all; else 0.

        A readable file that is no recording is passed over, so that a shell's `*` works.
        """
        return 2 if not self.calls or any(remark.failed for remark in self.remarks) else 0


def read(paths: Iterable[Path]) -> Reading:
    """Read files and, at any depth, the files of directories; hidden ones only if named.

    Raises nothing for what it finds: an unreadable file becomes a `Remark`.
    """
    calls: list[RecordedCall] = []
    remarks: list[Remark] = []
    for path, fault in _files(paths):
        name = printable(str(path), 1000)
        try:
            if fault:
                raise UserError(fault)
            found, cut = _read_file(path, name)
        except UserError as error:
            sentence = printable(str(error), 300)
            remarks.append(Remark(name, f"{sentence[:1].upper()}{sentence[1:]}.", failed=True))
            continue
        calls += found
        if cut:
            remarks.append(Remark(name, f"It is cut short: {cut}; {AGAIN}.", failed=True))
        elif not found:
            remarks.append(Remark(name, "It holds no recorded call, so it is left out.", False))
    return Reading(tuple(calls), tuple(remarks))


def _files(paths: Iterable[Path]) -> Iterator[tuple[Path, str | None]]:
    """Give each file, directories opened, with what is wrong with it as a path."""
    for path in paths:
        try:
            inside = sorted(path.rglob("*")) if path.is_dir() else None
            if inside is None:
                yield path, None
                continue
            files = [item for item in inside if item.is_file() and not _hidden(item, path)]
        except (OSError, ValueError) as error:
            yield path, _unopened(error)
            continue
        if not files:
            yield path, "the folder holds no files; name one that does"
        for file in files:
            yield file, None


def _hidden(file: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(folder).parts)


def _unopened(error: OSError | ValueError) -> str:
    reason = getattr(error, "strerror", None) or error
    return f"it cannot be opened ({reason}); check the path and its permissions"


def _read_file(path: Path, name: str) -> tuple[list[RecordedCall], str | None]:
    """Read one file's calls, and where it breaks off if it does."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise UserError(_unopened(error)) from None
    try:
        text = text_of(data)
    except UserError as error:
        raise UserError(f"{error}; check that it is a whole recording") from None
    if not text.strip():
        raise UserError(f"it is empty; {AGAIN}")
    parsed = _parse(text, path.suffix.lower())
    calls: list[RecordedCall] = []
    cut = parsed.cut
    for value in parsed.values:
        found, stump = _calls(value, name, len(calls) + 1)
        calls += found
        cut = cut or stump
    return calls, cut


def _parse(text: str, suffix: str) -> Parsed:
    parsed = parse_text(text)
    if parsed is not None:
        return parsed
    try:
        if suffix in (".yaml", ".yml") or CASSETTE_MARK.search(text):
            return Parsed([read_yaml(text)])
    except UserError as error:
        raise UserError(f"{error}; {AGAIN}") from None
    if suffix in (".json", ".jsonl", ".ndjson") or text.lstrip().startswith(("{", "[{")):
        raise UserError(f"it is not whole JSON; {AGAIN}")
    return Parsed([])


def _calls(value: object, name: str, first: int) -> tuple[list[RecordedCall], str | None]:
    """Make the calls of one value of a file, and say where it breaks off."""
    listed = exchanges(value)
    if listed is None:
        replies = value if isinstance(value, list) else [value]
        calls: list[RecordedCall] = []
        for number, reply in enumerate(replies, first):
            calls += rows_of_value(reply, RecordedCall(file=name, exchange=number, kind="other"))
        return calls, "its stream does not end" if _is_stump(calls) else None
    calls, cut = [], None
    for number, exchange in enumerate(listed, first):
        rows = rows_of_exchange(exchange, name, number) if exchange else []
        if not exchange:
            cut = f"exchange {number} has no response"
        elif exchange.status is None and _is_stump(rows):
            cut = f"exchange {number} breaks off"
        calls += rows
    return calls, cut


def _is_stump(rows: list[RecordedCall]) -> bool:
    """Say whether rows are what is left of a reply that was cut."""
    return any(row.kind == "other" or CUT in (row.note or "") for row in rows)

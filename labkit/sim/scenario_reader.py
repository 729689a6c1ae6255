"""The tables of a scenario file, field by field, and where in the file a fault of its own lies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from labkit.errors import UserError
from labkit.sim.answers import Said, Script, When
from labkit.sim.faults import Fault

__all__ = ["Reader"]

Field = tuple[type | tuple[type, ...], str]
"""What a field may be, and how to call that."""

TEXT: Field = (str, "a text in quotes")
WHOLE: Field = (int, "a whole number")
NUMBER: Field = ((int, float), "a number")
TABLES: Field = (list, "a list of tables, such as [[fault]]")
SETTINGS: Mapping[str, Field] = {
    "about": TEXT,
    "seed": WHOLE,
    "tier": TEXT,
    "comfortable": WHOLE,
    "ramp": NUMBER,
    "spend_cap": NUMBER,
    "speed": NUMBER,
    "fault": TABLES,
    "reply": TABLES,
}
FAULT: Mapping[str, Field] = {
    "kind": TEXT,
    "first": WHOLE,
    "start": NUMBER,
    "end": NUMBER,
    "share": NUMBER,
    "retry_after": NUMBER,
    "after": WHOLE,
    "factor": NUMBER,
    "every": NUMBER,
    "lasts": NUMBER,
    "model": TEXT,
    "path": TEXT,
}
REPLY: Mapping[str, Field] = {
    "request": WHOLE,
    "contains": TEXT,
    "matches": TEXT,
    "text": TEXT,
    "content": (list, "a list of content blocks"),
    "stop_reason": TEXT,
    "stop_details": (dict, "a table"),
}
WHEN = ("request", "contains", "matches")
SAYS = ("text", "content", "stop_reason")
HEADER = re.compile(r"\s*\[\[?\s*([\w.-]+)\s*\]")


class Reader:
    """Reads what a file's tables say; every complaint names the file, the line and the field."""

    def __init__(self, text: str, name: str) -> None:
        self.lines = text.splitlines()
        self.name = name

    def settings(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields outside of all tables."""
        self._check(table, SETTINGS, "", 0)
        return {name: value for name, value in table.items() if SETTINGS[name] != TABLES}

    def faults(self, tables: object) -> tuple[Fault, ...]:
        """Return the faults of the file."""
        return tuple(self._each(tables, "fault", self._fault))

    def script(self, tables: object) -> Script:
        """Return the scripted replies of the file."""
        script: dict[When, Said] = {}

        def add(table: Mapping[str, Any], place: int) -> None:
            when, said = self._reply(table, place)
            if when in script:
                problem = "An earlier reply is for the same requests, so this one is never given."
                raise self.wrong(problem, "reply", place)
            script[when] = said

        self._each(tables, "reply", add)
        return script

    def wrong(self, problem: object, table: str = "", place: int = 0, field: str = "") -> UserError:
        """Return the complaint about a field, or about a table as a whole (`place` from 1)."""
        line = self._line(table, place, field)
        where = [self.name, *([f"line {line}"] if line else [])]
        where += [f"{table} {place}"] if table else []
        where += [field] if field else []
        return UserError(f"{', '.join(where)}: {problem}")

    def _each(
        self, tables: object, kind: str, read: Callable[[Mapping[str, Any], int], Any]
    ) -> list[Any]:
        result = []
        for place, table in enumerate(tables if isinstance(tables, list) else [], start=1):
            if not isinstance(table, dict):
                raise self.wrong(f"This should be a table, written as [[{kind}]].", kind, place)
            result.append(read(table, place))
        return result

    def _fault(self, table: Mapping[str, Any], place: int) -> Fault:
        self._check(table, FAULT, "fault", place)
        if "kind" not in table:
            raise self.wrong("A fault needs a kind.", "fault", place)
        try:
            return Fault(**table)
        except UserError as error:
            raise self.wrong(error, "fault", place) from None

    def _reply(self, table: Mapping[str, Any], place: int) -> tuple[When, Said]:
        self._check(table, REPLY, "reply", place)
        given = [name for name in WHEN if name in table]
        if len(given) != 1:
            raise self.wrong(f"A reply needs one of {', '.join(WHEN)}.", "reply", place)
        if not any(name in table for name in SAYS) or ("text" in table and "content" in table):
            raise self.wrong("A reply has a text or a content or a stop_reason.", "reply", place)
        when: When = table[given[0]]
        if given[0] == "request" and table["request"] < 1:
            raise self.wrong("Requests are counted from 1.", "reply", place, "request")
        try:
            if given[0] == "matches":
                when = re.compile(table["matches"])
            content = table.get("content", table.get("text", ""))
            return when, Said(content, table.get("stop_reason"), table.get("stop_details"))
        except re.error as error:
            problem = f"This is not a pattern: {error}."
            raise self.wrong(problem, "reply", place, "matches") from None
        except UserError as error:
            raise self.wrong(error, "reply", place) from None

    def _check(
        self, table: Mapping[str, Any], fields: Mapping[str, Field], kind: str, place: int
    ) -> None:
        for name, value in table.items():
            if name not in fields:
                near = get_close_matches(name, fields, n=1, cutoff=0.5) or list(fields)
                problem = f"There is no such field; is it {' or '.join(near)}?"
                raise self.wrong(problem, kind, place, name)
            types, called = fields[name]
            if not isinstance(value, types) or isinstance(value, bool):
                raise self.wrong(f"This should be {called}, not {value!r}.", kind, place, name)

    def _line(self, table: str, place: int, field: str) -> int | None:
        """Return the line (from 1) of a field, else of its table's header, None if not found."""
        within, seen, header = "", 0, None
        for number, line in enumerate(self.lines, start=1):
            if match := HEADER.match(line):
                within = match.group(1)
                if not table and within == field:
                    return number
                seen += within == table
                header = number if within == table and seen == place else header
            here = within == table and (not table or seen == place)
            if here and field and re.match(rf"\s*[\"']?{re.escape(field)}[\"']?\s*[=.]", line):
                return number
        return header

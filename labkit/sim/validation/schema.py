"""A few words to say what JSON must look like, and sentences for where it does not.

A check takes (value, path) and yields what is wrong, in the style of the real API's messages
("messages.0.role: Field required").  Checks are lazy and stop at the first fault of a value,
so that a later one may rely on what an earlier one has found in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "Check",
    "anything",
    "array",
    "boolean",
    "choice",
    "integer",
    "joined",
    "mapping",
    "nullable",
    "number",
    "shown",
    "string",
    "string_or",
    "tagged",
]

Check = Callable[[object, str], Iterator[str]]


def joined(path: str, name: object) -> str:
    """Return the path of a member."""
    return f"{path}.{name}" if path else str(name)


def anything(_value: object, _path: str) -> Iterator[str]:
    """Find nothing wrong with any value."""
    return iter(())


def string(*, pattern: str | None = None, least: int = 0, most: int | None = None) -> Check:
    """Return a check for text, of so many characters, that matches a whole pattern."""
    compiled = re.compile(pattern) if pattern else None

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, str):
            yield f"{path}: Input should be a valid string"
        elif len(value) < least:
            yield f"{path}: String should have at least {least} {_plural(least, 'character')}"
        elif most is not None and len(value) > most:
            yield f"{path}: String should have at most {most} {_plural(most, 'character')}"
        elif compiled is not None and not compiled.fullmatch(value):
            yield f"{path}: String should match pattern '^{pattern}$'"

    return check


def integer(*, least: int) -> Check:
    """Return a check for a whole number; true and false are none."""

    def check(value: object, path: str) -> Iterator[str]:
        if isinstance(value, bool) or not isinstance(value, int):
            yield f"{path}: Input should be a valid integer"
        elif value < least:
            yield f"{path}: Input should be greater than or equal to {least}"

    return check


def number(*, least: float, most: float) -> Check:
    """Return a check for a number within bounds."""

    def check(value: object, path: str) -> Iterator[str]:
        if isinstance(value, bool) or not isinstance(value, int | float):
            yield f"{path}: Input should be a valid number"
        elif value < least:
            yield f"{path}: Input should be greater than or equal to {least:g}"
        elif value > most:
            yield f"{path}: Input should be less than or equal to {most:g}"

    return check


def boolean(value: object, path: str) -> Iterator[str]:
    """Find a value that is neither true nor false."""
    if not isinstance(value, bool):
        yield f"{path}: Input should be a valid boolean"


def choice(*words: str) -> Check:
    """Return a check for one of some words."""
    quoted = [f"'{word}'" for word in words]
    listed = " or ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, str) or value not in words:
            yield f"{path}: Input should be {listed}"

    return check


def nullable(inner: Check) -> Check:
    """Return a check that lets null pass."""
    return lambda value, path: iter(()) if value is None else inner(value, path)


def array(item: Check, *, least: int = 0, most: int | None = None) -> Check:
    """Return a check for a list of so many items, each in order."""

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{path}: Input should be a valid list"
            return
        found = f"after validation, not {len(value)}"
        if len(value) < least:
            yield f"{path}: List should have at least {least} {_plural(least, 'item')} {found}"
        elif most is not None and len(value) > most:
            yield f"{path}: List should have at most {most} {_plural(most, 'item')} {found}"
        for place, member in enumerate(value):
            yield from item(member, joined(path, place))

    return check


def string_or(inner: Check) -> Check:
    """Return a check for text, or for what `inner` checks."""
    return lambda value, path: iter(()) if isinstance(value, str) else inner(value, path)


def mapping(
    required: Mapping[str, Check], optional: Mapping[str, Check] | None = None, *, extra: bool
) -> Check:
    """Return a check for an object; `extra` says whether it may have members not named here."""
    known = {**required, **(optional or {})}

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path}: Input should be an object" if path else "Input should be an object"
            return
        for name in required:
            if name not in value:
                yield f"{joined(path, name)}: Field required"
        for name, member in value.items():
            if name in known:
                yield from known[name](member, joined(path, name))
            elif not extra:
                yield f"{joined(path, name)}: Extra inputs are not permitted"

    return check


def tagged(kinds: Mapping[str, Check], *, default: str | None = None) -> Check:
    """Return a check chosen by the object's `type`, which becomes a part of the path."""
    listed = ", ".join(f"'{kind}'" for kind in kinds)

    def check(value: object, path: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{path}: Input should be an object"
            return
        kind = value.get("type", default)
        if kind is None:
            yield f"{path}.type: Field required"
        elif not isinstance(kind, str) or kind not in kinds:
            yield (
                f"{path}: Input tag '{shown(kind)}' found using 'type' does not match any of the "
                f"expected tags: {listed}"
            )
        else:
            yield from kinds[kind](value, joined(path, kind))

    return check


def shown(value: object) -> str:
    """Return a value as a message quotes it: the start of a text, the kind of anything else."""
    return value[:80] if isinstance(value, str) else type(value).__name__


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"

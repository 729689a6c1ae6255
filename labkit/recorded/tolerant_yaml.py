"""YAML that other people's tools wrote, read as plain data and never executed.

Unknown tags (`!!python/...`, `!ruby/...`) become the list, mapping or text they stand on,
and both spellings of binary become bytes.
"""

from __future__ import annotations

from typing import Any

from labkit.errors import UserError

__all__ = ["read_yaml"]

DEEPEST = 100
"""Levels of nesting accepted; recordings have about ten, and libyaml's loader overflows on many."""

INTEGER = "tag:yaml.org,2002:int"
LONGEST_NUMBER = 100
CONSTRUCTOR_FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What PyYAML's own constructors let through for a bad `!!int`, `!!bool` or date."""


def read_yaml(text: str) -> object:
    """Read one YAML document.

    Raises `UserError` saying where the text stops being YAML.
    """
    import yaml

    base = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_deep_nesting(yaml, text, base)
        return yaml.load(text, Loader=_loader(base))  # noqa: S506 - derived from the safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        reason = f"{error.problem or 'it does not parse'} on line {line}"
    except (yaml.YAMLError, *CONSTRUCTOR_FAULTS) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
    raise UserError(f"it is not whole YAML ({reason})")


def _refuse_deep_nesting(yaml: Any, text: str, base: Any) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=base):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")


def _loader(base: Any) -> Any:
    """Make a safe loader with a reading for every tag."""
    loader: Any = type("Tolerant", (base,), {})
    loader.add_constructor("!binary", base.construct_yaml_binary)
    loader.add_constructor(INTEGER, _whole_number)
    loader.add_multi_constructor("", _plain)
    return loader


def _whole_number(loader: Any, node: Any) -> object:
    """Read an integer; one too long for Python to print again stays text."""
    text = loader.construct_scalar(node)
    return text if len(text) > LONGEST_NUMBER else loader.construct_yaml_int(node)


def _plain(loader: Any, _tag: str, node: Any) -> object:
    """Read a node as if its tag were not there; a list of one stands for its item.

    The last rule turns `!!python/object/apply:multidict...istr [content-type]` into a name.
    """
    if node.id == "mapping":
        return loader.construct_mapping(node, deep=True)
    if node.id == "sequence":
        items = loader.construct_sequence(node, deep=True)
        return items[0] if len(items) == 1 else items
    return loader.construct_scalar(node)

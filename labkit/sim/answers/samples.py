"""A value that fits a JSON Schema, always the same one, filled from hints where they fit.

Obeyed: type, enum, const, required, properties, items, prefixItems, the bounds of numbers,
texts and lists, uniqueItems, multipleOf, the usual formats, local $ref, allOf, and the first
usable branch of anyOf and oneOf.  Not obeyed: pattern, not, if, and what else would need a
search.  A schema that makes no sense gets some value all the same; nothing here raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from labkit.sim.answers.hints import Hints
from labkit.sim.answers.sample_numbers import finite, sample_number
from labkit.sim.answers.sample_texts import sample_text
from labkit.sim.answers.turns import listed, mapped

__all__ = ["sample"]

DEEPEST = 24
DEEP = 3
"""From here on a value may be null where it can, so that a tree comes to an end."""
MOST_VALUES = 1_000
ANYTHING = "simulated"
NO_HINTS = Hints()


def sample(schema: object, hints: Hints = NO_HINTS) -> Any:
    """Return a value for a schema; its optional fields are left out unless all are optional."""
    return _Sampler(schema, hints).value(schema, "", 0, 0)


class _Sampler:
    """`place` is the position in a list, which tells values apart that must be unique."""

    def __init__(self, root: object, hints: Hints) -> None:
        self.root = root
        self.hints = hints
        self.left = MOST_VALUES

    def value(self, schema: object, name: str, depth: int, place: int) -> Any:
        self.left -= 1
        if depth > DEEPEST or self.left < 0:
            return None
        rules = self._resolved(schema, depth)
        if "const" in rules:
            return rules["const"]
        if listed(rules.get("enum")):
            return self._chosen(rules["enum"], name, place)
        kind = _kind(rules, depth)
        if kind == "object":
            return self._object(rules, depth)
        if kind == "array":
            return self._array(rules, name, depth)
        if kind in ("integer", "number"):
            figures = self.hints.figures(name) if place == 0 else ()
            return sample_number(rules, figures, place, whole=kind == "integer")
        if kind == "string":
            return sample_text(rules, name, self.hints, place)
        return {"boolean": True, "null": None}.get(kind, ANYTHING)

    def _resolved(self, schema: object, depth: int) -> dict[str, Any]:
        """Follow references, and merge what must hold together."""
        rules = dict(mapped(schema))
        for _ in range(DEEPEST):
            if "$ref" in rules:
                rules = {**self._pointed(rules.pop("$ref")), **rules}
            elif listed(rules.get("allOf")):
                for part in rules.pop("allOf"):
                    rules = _both(rules, mapped(part))
            elif branches := listed(rules.get("anyOf")) or listed(rules.get("oneOf")):
                rules.pop("anyOf", None)
                rules.pop("oneOf", None)
                rules = _both(rules, _branch(branches, depth))
            else:
                break
        return rules

    def _pointed(self, pointer: object) -> Mapping[str, Any]:
        found = self.root
        for part in str(pointer).removeprefix("#").split("/")[1:]:
            found = mapped(found).get(part.replace("~1", "/").replace("~0", "~"))
        return mapped(found)

    def _chosen(self, options: list[Any], name: str, place: int) -> Any:
        by_name = {each.lower(): each for each in reversed(options) if isinstance(each, str)}
        for text in self.hints.texts(name):
            if place == 0 and text.lower() in by_name:
                return by_name[text.lower()]
        return options[place % len(options)]

    def _object(self, rules: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = mapped(rules.get("properties"))
        required = [name for name in listed(rules.get("required")) if isinstance(name, str)]
        named = [name for name in properties if name in required]
        if not required and depth == 0:
            named = list(properties)
        named += [name for name in required if name not in properties]
        return {name: self.value(properties.get(name), name, depth + 1, 0) for name in named}

    def _array(self, rules: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first = listed(rules.get("prefixItems"))
        least = max(_bound(rules, "minItems", 0), len(first))
        most = _bound(rules, "maxItems", MOST_VALUES)
        count = min(max(1 if depth <= DEEP else 0, least), most)
        items = [*first, *[rules.get("items")] * count]
        return [self.value(items[at], name, depth + 1, at) for at in range(count)]


def _branch(branches: list[Any], depth: int) -> Mapping[str, Any]:
    """Return the first that is not null; further down null, where there is the choice."""
    nulls = [each for each in map(mapped, branches) if each.get("type") == "null"]
    others = [each for each in map(mapped, branches) if each.get("type") != "null"]
    return next(iter([*nulls, *others] if depth > DEEP else [*others, *nulls]))


def _kind(rules: Mapping[str, Any], depth: int) -> str:
    kind = rules.get("type")
    if isinstance(kind, list):
        last = depth > DEEP and "null" in kind
        kind = "null" if last else next((each for each in kind if each != "null"), "null")
    if isinstance(kind, str):
        return kind
    return "object" if "properties" in rules else "array" if "items" in rules else ""


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**mapped(one["properties"]), **mapped(other["properties"])}
    if "required" in one and "required" in other:
        merged["required"] = [*listed(one["required"]), *listed(other["required"])]
    return merged


def _bound(rules: Mapping[str, Any], name: str, otherwise: int) -> int:
    value = finite(rules, name)
    return otherwise if value is None or value < 0 else int(min(value, MOST_VALUES))

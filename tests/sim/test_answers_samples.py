"""Made-up values fit their JSON Schema, as an independent validator judges."""

from __future__ import annotations

import json
import random
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.answers import compose
from labkit.sim.answers.hints import Hints, read_hints
from labkit.sim.answers.samples import sample

scalars = st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5)
names = st.text("abc_", min_size=1, max_size=4)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)


@st.composite
def bounds(draw: st.DrawFn, low: str, high: str, numbers: st.SearchStrategy[Any]) -> dict[str, Any]:
    """Draw none, one or both of two bounds that leave room between them."""
    one, other = sorted([draw(numbers), draw(numbers)])
    rules = {low: one, high: other}
    return {name: rules[name] for name in draw(st.sets(st.sampled_from([low, high])))}


def typed(kind: str, rules: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Give a schema of one type its further rules."""
    return rules.map(lambda found: {"type": kind, **found})


leaves: st.SearchStrategy[dict[str, Any]] = st.one_of(
    typed("string", bounds("minLength", "maxLength", st.integers(0, 40))),
    typed("integer", bounds("minimum", "maximum", st.integers(-(10**6), 10**6))),
    typed("integer", st.builds(lambda n: {"multipleOf": n}, st.integers(1, 50))),
    typed("number", bounds("minimum", "maximum", st.floats(-1e6, 1e6))),
    typed("number", st.builds(lambda n: {"exclusiveMinimum": n}, st.integers(-9, 9))),
    typed("number", st.builds(lambda n: {"exclusiveMaximum": n}, st.integers(-9, 9))),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["null", "string"]}, {}]),
    st.lists(scalars, min_size=1, max_size=3).map(lambda each: {"enum": each}),
    scalars.map(lambda each: {"const": each}),
)


def composite(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw objects, lists and choices of schemas."""
    objects = st.dictionaries(names, inner, max_size=3).flatmap(
        lambda properties: st.builds(
            lambda required: {
                "type": "object",
                "properties": properties,
                "required": sorted(required),
                "additionalProperties": False,
            },
            st.sets(st.sampled_from(sorted(properties))) if properties else st.just(set()),
        )
    )
    arrays = st.builds(
        lambda items, rules: {"type": "array", "items": items, **rules},
        inner,
        bounds("minItems", "maxItems", st.integers(0, 4)),
    )
    choices = st.builds(
        lambda name, options: {name: options},
        st.just("anyOf"),
        st.lists(inner, min_size=1, max_size=3),
    )
    return st.one_of(objects, arrays, choices)


schemas = st.recursive(leaves, composite, max_leaves=8)
hints = st.builds(
    Hints,
    st.lists(words, max_size=2).map(tuple),
    st.dictionaries(names, words, max_size=2),
    st.lists(words, max_size=3).map(tuple),
    st.lists(st.integers(-99, 99) | st.floats(-99, 99), max_size=3).map(tuple),
)


def fits(value: Any, schema: Any) -> bool:
    """Let an independent validator judge, on what JSON makes of the value."""
    sent = json.loads(json.dumps(value))
    return bool(jsonschema.Draft202012Validator(schema).is_valid(sent))


@given(schemas, hints)
def test_a_sample_fits_its_schema_whatever_the_hints(schema: Any, hints: Hints) -> None:
    """Every hint that does not fit is passed over."""
    value = sample(schema, hints)
    assert fits(value, schema), value
    assert sample(schema, hints) == value


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}, "minItems": 4, "uniqueItems": True},
        {"type": "array", "items": {"type": "integer"}, "minItems": 9, "uniqueItems": True},
        {"type": "array", "items": {"enum": [3, 2, 1]}, "minItems": 3, "uniqueItems": True},
        {"type": "array", "prefixItems": [{"type": "null"}, {"type": "integer"}], "items": False},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.25},
        {"type": "integer", "multipleOf": 7, "minimum": 8, "maximum": 20},
        {"type": "number", "multipleOf": 0.5, "exclusiveMinimum": 3},
        {"allOf": [{"properties": {"a": {"type": "null"}}}, {"required": ["a"]}], "type": "object"},
        {"oneOf": [{"type": "integer"}, {"type": "string"}]},
        {"type": "object", "required": ["undescribed"]},
        {"properties": {"a": {"items": {"type": "boolean"}}}, "required": ["a"]},
        {"const": None},
        True,
    ],
    ids=json.dumps,
)
def test_the_less_usual_rules_are_obeyed(schema: Any) -> None:
    """One example of each."""
    assert fits(sample(schema), schema)


def test_formats_are_spelled_right() -> None:
    """What the validator can judge of formats, it finds in order."""
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for name in ("date", "email", "ipv4", "ipv6", "uuid", "date-time", "time", "hostname"):
        schema = {"type": "string", "format": name}
        judge = jsonschema.Draft202012Validator(schema, format_checker=checker)
        assert judge.is_valid(sample(schema)), name
    date = {"type": "string", "format": "date"}
    judge = jsonschema.Draft202012Validator(date, format_checker=checker)
    assert not judge.is_valid("simulated")


@pytest.mark.parametrize("option", ["anyOf", "oneOf"])
def test_a_tree_comes_to_an_end_where_it_may(option: str) -> None:
    """A schema that refers to itself is followed for a while, then null is taken."""
    either = {option: [{"$ref": "#/$defs/node"}, {"type": "null"}]}
    properties = {"value": {"type": "integer"}, "next": either}
    node = {"type": "object", "properties": properties, "required": ["value", "next"]}
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    value = sample(schema)
    assert fits(value, schema)
    assert isinstance(value["next"]["next"], dict)
    assert len(json.dumps(value)) < 300


def test_a_schema_without_an_end_is_given_up() -> None:
    """No value fits a tree that must go on for ever, and trying takes no longer than a limit."""
    twice = {"left": {"$ref": "#"}, "right": {"$ref": "#"}}
    endless = {"type": "object", "properties": twice, "required": ["left", "right"]}
    assert len(json.dumps(sample(endless))) < 100_000
    assert sample({"$ref": "#"}) == "simulated"
    assert sample({"$ref": "#/nowhere/a~1b"}) == "simulated"


def test_optional_fields_are_left_out_unless_all_are_optional() -> None:
    """A form with no required field would else be empty."""
    properties = {"a": {"type": "integer"}, "b": {"type": "integer"}}
    assert sample({"type": "object", "properties": properties, "required": ["b"]}) == {"b": 1}
    assert sample({"type": "object", "properties": properties}) == {"a": 1, "b": 1}


def test_hints_are_read_from_what_the_user_says() -> None:
    """Quoted and capitalised words, numbers, and things told by name."""
    turns = ["My first name is Ada.", 'Book "the red room" for Bob Smith, 3 nights from 12.5']
    body = {"messages": [{"role": "user", "content": turn} for turn in turns]}
    found = read_hints(body)
    assert found.words == ("the red room", "Bob Smith")
    assert found.numbers == (3, 12.5)
    assert found.told == {"first name": "Ada"}


@pytest.mark.parametrize(
    ("turn", "properties", "expected"),
    [
        ("My name is Ada and my age is 36.", {"name": "string", "age": "integer"}, ["Ada", 36]),
        ("Ship 4 boxes to Oslo.", {"city": "string", "boxes": "integer"}, ["Oslo", 4]),
        ("It costs 2.75 here.", {"price": "number", "whole": "integer"}, [2.75, 1]),
        ("What is 20 + 22?", {"result": "integer"}, [42]),
        ("Hello.", {"full_name": "string", "ok": "boolean"}, ["simulated full name", True]),
    ],
)
def test_a_form_is_filled_from_the_request(
    turn: str, properties: dict[str, str], expected: list[Any]
) -> None:
    """Where the request holds a fitting value, the JSON answer has it."""
    described = {name: {"type": kind} for name, kind in properties.items()}
    schema = {"type": "object", "properties": described, "required": list(properties)}
    body = {
        "model": "claude-opus-5-5",
        "max_tokens": 200,
        "messages": [{"role": "user", "content": turn}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }
    text = compose(body, random.Random(0)).content[0]["text"]
    assert list(json.loads(text).values()) == expected


@given(schemas, words)
def test_a_json_answer_is_json_of_the_schema(schema: Any, turn: str) -> None:
    """By either name of the parameter, and whatever is asked."""
    form = {"type": "json_schema", "schema": schema}
    asked: list[dict[str, Any]] = [{"output_config": {"format": form}}, {"output_format": form}]
    for each in asked:
        body: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 100_000, **each}
        body["messages"] = [{"role": "user", "content": turn}]
        composed = compose(body, random.Random(0))
        assert fits(json.loads(composed.content[0]["text"]), schema)

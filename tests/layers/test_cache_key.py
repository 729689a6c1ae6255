"""The key of a response cache: what changes an answer changes it, and nothing else does."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.flow import Request
from labkit.layers.cache_key import SCHEMA, digest, key_of
from tests.wire import CALL

plain = st.none() | st.booleans() | st.integers() | st.floats(-9, 9) | st.text(max_size=5)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
MATTERS = (
    *("model", "max_tokens", "messages", "system", "tools", "tool_choice", "temperature", "top_p"),
    *(
        "top_k",
        "thinking",
        "output_config",
        "stop_sequences",
        "speed",
        "inference_geo",
        "cache_control",
    ),
    *("service_tier", "context_management", "a field of tomorrow"),
)
bodies = st.dictionaries(st.sampled_from(MATTERS), values, max_size=6)


def name(body: dict[str, Any], tenant: str = "t", **more: Any) -> str:
    """Return the name of a request's key."""
    return key_of(Request(body, **more), tenant).name


def shuffled(value: Any, dice: random.Random) -> Any:
    """Return the same JSON with the fields in another order."""
    if isinstance(value, dict):
        fields = list(value.items())
        dice.shuffle(fields)
        return {field: shuffled(inner, dice) for field, inner in fields}
    return [shuffled(one, dice) for one in value] if isinstance(value, list) else value


@given(bodies, st.randoms(use_true_random=False), values, st.booleans())
def test_equal_canonical_requests_share_a_key(
    body: dict[str, Any], dice: random.Random, metadata: Any, stream: bool
) -> None:
    """Order of fields, metadata and streaming do not matter; nor does it to be read anew."""
    same = {**shuffled(json.loads(json.dumps(body)), dice), "metadata": metadata, "stream": stream}
    assert name(same, stream=stream, deadline=3.0) == name(body)


@given(bodies, st.sampled_from(MATTERS), values)
def test_any_change_of_a_field_that_matters_changes_the_key(
    body: dict[str, Any], field: str, value: Any
) -> None:
    """Known and unknown ones alike; a field that is missing is not one that is null."""
    changed = {**body, field: value}
    same = field in body and digest(body[field]) == digest(value)
    assert (name(changed) == name(body)) is same


@given(bodies, st.text(max_size=9), st.text(max_size=9))
def test_tenants_never_share(body: dict[str, Any], one: str, other: str) -> None:
    """Whatever they are called."""
    assert (name(body, one) == name(body, other)) is (one == other)


def test_no_tenant_can_name_itself_into_anothers_key() -> None:
    """A name that looks like the rest of a key stays a name."""
    assert name({"a": 1}, 't","b') != name({"a": 1, "b": 1}, "t")


@pytest.mark.parametrize(
    "headers",
    [
        {"anthropic-beta": "x-2026"},
        {"Anthropic-Version": "2023-06-01"},
        {"anthropic-workspace-id": "w"},
        {"anthropic-user-profile-id": "u"},
    ],
)
def test_a_header_that_changes_the_answer_changes_the_key(headers: dict[str, str]) -> None:
    """However it is spelled."""
    assert name(CALL, headers=headers) != name(CALL)
    upper = {field.upper(): value for field, value in headers.items()}
    assert name(CALL, headers=upper) == name(CALL, headers=headers)


def test_the_order_of_betas_and_key_material_do_not_matter() -> None:
    """A key in a header is nobody's business here."""
    betas = [{"anthropic-beta": value} for value in ("a,b", "b, a")]
    assert name(CALL, headers=betas[0]) == name(CALL, headers=betas[1])
    assert name(CALL, headers={"x-api-key": "secret", "x-trace": "1"}) == name(CALL)


def test_the_endpoint_belongs_to_the_key() -> None:
    """A beta's answer has other fields."""
    assert name(CALL, path="/v1/messages?beta=true") != name(CALL)


def test_the_schema_belongs_to_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of another version are never found."""
    before = name(CALL)
    monkeypatch.setattr("labkit.layers.cache_key.SCHEMA", SCHEMA + 1)
    assert name(CALL) != before


def test_no_words_can_be_read_off_a_key() -> None:
    """It is digits, all of it."""
    key = key_of(Request({"messages": "secret"}), "ada")
    assert not {"secret", "ada"} & {key.name, key.tenant, *key.parts.values()}
    assert all(set(text) <= set("0123456789abcdef") for text in (key.name, *key.parts.values()))


@pytest.mark.parametrize("wrong", [object(), float("nan"), {1, 2}, b"bytes"])
def test_what_is_no_json_has_no_key(wrong: object) -> None:
    """Two of them might look alike."""
    with pytest.raises((TypeError, ValueError)):
        key_of(Request({"messages": wrong}), "t")

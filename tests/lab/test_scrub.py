"""Nothing secret gets past the scrubber, wherever it is planted, and requests still match."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.lab.scrub import canonical, scrub_body, scrub_headers, scrub_text, scrub_url

KEY = "sk-ant-" + "api03-AbC_123-xyz"
ORGANISATION = "0f8b2c3d-1a2b-4c5d-8e9f-0123456789ab"
WORKSPACE = "wrkspc_01AbCdEfGhIjKl"
ACCOUNT = "org_01AbCdEfGhIjKl"
SIGNATURE = "EqQBCkgIARABGAIiQL3mzFQ"
SECRETS = (KEY, ORGANISATION, ORGANISATION.upper(), WORKSPACE, ACCOUNT)
SEALED = ("signature", "encrypted_content", "encrypted_index", "encrypted_stdout", "token")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
secret_texts = st.tuples(texts, st.sampled_from(SECRETS), texts).map("·".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | secret_texts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(texts | secret_texts, inner, max_size=4)
        | st.dictionaries(st.sampled_from(SEALED), st.just(SIGNATURE), max_size=2)
        | st.just({"type": "redacted_thinking", "data": SIGNATURE})
    ),
    max_leaves=15,
)


def clean(data: bytes) -> bool:
    """Say whether no secret is left, in any case of letters."""
    low = data.decode("utf-8", "replace").lower()
    return not any(secret.lower() in low for secret in (*SECRETS, SIGNATURE))


@given(values, st.booleans())
def test_no_secret_survives_in_json(value: Any, ascii_only: bool) -> None:
    """Keys, ids of accounts and sealed tokens go, at any depth, in names and in values."""
    body = json.dumps({"a": value}, ensure_ascii=ascii_only).encode()
    assert clean(scrub_body(body))
    assert clean(scrub_body(json.dumps([value]).encode()))


@given(st.lists(values, max_size=3), st.sampled_from(["\n", "\r\n"]))
def test_no_secret_survives_in_a_stream(events: list[Any], end: str) -> None:
    """The same for each event of a stream."""
    frames = [f"event: x{end}data: {json.dumps({'v': value})}{end}{end}" for value in events]
    assert clean(scrub_body("".join(frames).encode()))


@given(values, st.data())
def test_no_secret_survives_where_a_body_was_cut(value: Any, data: st.DataObject) -> None:
    """A body that breaks off in the middle of a token keeps nothing of the token."""
    body = b"data: " + json.dumps({"delta": {"signature": SIGNATURE, "rest": value}}).encode()
    cut = body[: data.draw(st.integers(0, len(body)))]
    assert SIGNATURE[:8].encode() not in scrub_body(cut)
    assert clean(scrub_body(cut))


@given(values)
def test_scrubbing_twice_changes_nothing(value: Any) -> None:
    """What is scrubbed is clean, so a scrubbed request still matches itself."""
    once = scrub_body(json.dumps({"a": value}).encode())
    assert scrub_body(once) == once
    assert canonical(once) == canonical(json.dumps({"a": value}))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_text_stay_as_they_are(body: bytes) -> None:
    """Scrubbing is no transcoding."""
    if clean(body):
        assert scrub_body(body) == body


@pytest.mark.parametrize("body", [b'{"signature":"\\ud800abc","text":"\\udfff"}', b'{"a":' * 5000])
def test_odd_json_is_survived(body: bytes) -> None:
    """Half a surrogate pair and bottomless nesting are no reason to fail."""
    assert b"abc" not in scrub_body(body)
    assert canonical(body)


def test_what_is_no_secret_stays() -> None:
    """Ordinary words that look a little like secrets are kept, byte for byte."""
    body = json.dumps(
        {
            "text": "sk-anthem, organisation, reorg_of_something_long, deadbeef-dead-beef",
            "id": "toolu_01AbCdEfGhIjKlMnOpQrStUv",
            "source": {"type": "base64", "data": "iVBORw0KGgo="},
            "usage": {"input_tokens": 12},
            "stop_token": None,
        }
    ).encode()
    assert scrub_body(body) == body


@given(st.dictionaries(st.text(max_size=12), secret_texts, max_size=6), st.booleans())
def test_only_listed_headers_are_kept_and_they_are_scrubbed(
    extra: dict[str, str], response: bool
) -> None:
    """Keys and cookies are not listed; what is listed cannot carry an id either."""
    headers = {
        **extra,
        "Authorization": f"Bearer {KEY}",
        "X-Api-Key": KEY,
        "Cookie": "session=1",
        "Set-Cookie": "session=1",
        "anthropic-organization-id": ORGANISATION,
        "anthropic-workspace-id": WORKSPACE,
        "Content-Type": f"application/json; of={ORGANISATION}",
        "Anthropic-Beta": f"beta-{KEY}",
        "anthropic-ratelimit-requests-limit": "1000",
    }
    kept = scrub_headers(headers, response=response)
    assert clean(json.dumps(kept).encode())
    assert "session" not in json.dumps(kept)
    assert kept["content-type"] == "application/json; of=scrubbed"
    assert ("anthropic-ratelimit-requests-limit" in kept) == response


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://api.anthropic.com/v1/messages?beta=true", "same"),
        ("https://api.anthropic.com/v1/models?limit=2&after_id=x", "same"),
        ("https://me:secret@proxy.example/v1/messages", "https://proxy.example/v1/messages"),
        ("https://a.b/v1/messages?api_key=secret&beta=true#c", "https://a.b/v1/messages?beta=true"),
        (f"https://a.b/{ORGANISATION}/v1/messages", "https://a.b/scrubbed/v1/messages"),
    ],
)
def test_an_address_tells_only_where_the_request_went(url: str, kept: str) -> None:
    """No user, no password, no parameter that is not listed, no id in the path."""
    assert scrub_url(url) == (url if kept == "same" else kept)


def test_one_spelling_of_a_request() -> None:
    """Order of keys and spaces do not matter; a word or a type does."""
    one = canonical('{"b": [1, {"d": 2, "c": 3}], "a": "x"}')
    assert canonical(b'{"a":"x","b":[1,{"c":3,"d":2}]}') == one
    assert canonical('{"a":"x","b":[1,{"c":3,"d":"2"}]}') != one
    assert canonical('{"a":"x","b":[1,{"c":3,"d":2.0}]}') != one
    assert canonical(None) == canonical("") == ""


def test_text_loses_every_kind_of_secret() -> None:
    """Each kind is found wherever it stands, even glued to other letters."""
    for secret in SECRETS:
        assert scrub_text(f"_{secret}") in ("_scrubbed", f"_{secret[:0]}scrubbed")
        assert secret.lower() not in scrub_text(f"id={secret};").lower()

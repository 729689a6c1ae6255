"""Foreign YAML is read as plain data: no tag is ever executed, no text crashes the reader."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml

from labkit.errors import UserError
from labkit.recorded.tolerant_yaml import read_yaml


@pytest.fixture(autouse=True, params=["libyaml", "pure Python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with PyYAML's fast loader and as if it had none."""
    if request.param == "pure Python":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)


def test_python_tags_are_read_but_never_executed(tmp_path: Path) -> None:
    """A tag that asks for a call is only the text it stands on."""
    trap = tmp_path / "sprung"
    text = f"""
    shell: !!python/object/apply:os.system ["touch {trap}"]
    made: !!python/object/new:pathlib.Path [{trap}]
    named: !!python/name:os.remove ''
    text: !!python/unicode 'plain'
    pair: !!python/tuple [1, 2]
    """
    read = read_yaml(text)
    assert not trap.exists()
    assert read == {
        "shell": f"touch {trap}",
        "made": str(trap),
        "named": "",
        "text": "plain",
        "pair": [1, 2],
    }


def test_a_tagged_header_name_is_its_text() -> None:
    """Some recorders write header names as objects of a library."""
    text = """
    headers:
      ? !!python/object/apply:multidict._multidict.istr
      - content-type
      : [application/json]
    """
    assert read_yaml(text) == {"headers": {"content-type": ["application/json"]}}


@pytest.mark.parametrize("tag", ["!binary", "!!binary"])
def test_both_spellings_of_binary_are_bytes(tag: str) -> None:
    """Ruby writes one exclamation mark, Python two."""
    data = bytes(range(256))
    text = f"body: {tag} |\n  {base64.b64encode(data).decode()}\n"
    assert read_yaml(text) == {"body": data}


def test_ruby_tags_are_passed_over() -> None:
    """A symbol or a hash of some class is its plain content."""
    read = read_yaml("a: !ruby/symbol get\nb: !ruby/hash:Headers {x: 1}\n")
    assert read == {"a": "get", "b": {"x": 1}}


@pytest.mark.parametrize(
    "text",
    [
        "interactions:\n- request: {method: 'POST",
        "a: b: c",
        "a: [1, 2",
        "\t- x",
        "a: &x 1\nb: *y",
        "? [a, b]\n: 1",
        "a: !!int x",
        "a: !!bool perhaps",
        "a: !!timestamp never",
        "a: 2026-99-99",
        "a: !!binary é",
        "--- 1\n--- 2",
        "\x07",
        "[" * 100_000,
        "- " * 100_000,
        "{a: " * 100_000,
    ],
)
def test_what_is_not_yaml_is_one_sentence(text: str) -> None:
    """Broken, contradictory and absurdly deep texts all end in the same kind of error."""
    with pytest.raises(UserError, match="it is not whole YAML") as raised:
        read_yaml(text)
    assert "\n" not in str(raised.value)


def test_the_sentence_names_the_line() -> None:
    """A cut file is easier to mend when the place is known."""
    with pytest.raises(UserError, match="on line 2"):
        read_yaml("a: 1\nb: c: d\n")

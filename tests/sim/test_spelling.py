"""JSON as the API writes it: as short as it can be, and read back as it was."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.spelling import spelled

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values)
def test_what_is_spelled_is_read_back(value: Any) -> None:
    """Keys in their order, and never longer than the usual form."""
    text = spelled(value)
    assert json.loads(text) == value
    assert len(text) <= len(json.dumps(value))


def test_every_character_stands_for_itself() -> None:
    """No escapes but those that JSON demands, and no space."""
    assert spelled({"a": ["ö", 1], "b": "\n"}) == '{"a":["ö",1],"b":"\\n"}'

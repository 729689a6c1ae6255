"""Pages put together give the whole list, from either end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.sim.pages import page
from labkit.sim.problem import ApiError


def items(count: int) -> list[dict[str, Any]]:
    """Items a to ..., with ids."""
    return [{"id": f"item_{number}"} for number in range(count)]


def given_page(listed: list[dict[str, Any]], **query: str) -> dict[str, Any]:
    """A page that is no error."""
    found = page(listed, {name: [value] for name, value in query.items()})
    assert not isinstance(found, ApiError)
    return found


@given(st.integers(0, 60), st.integers(1, 25), st.sampled_from(["after_id", "before_id"]))
def test_all_pages_together_are_the_list(count: int, limit: int, direction: str) -> None:
    """Following the cursor gives every item once, forwards and backwards."""
    listed, query = items(count), {"limit": str(limit)}
    seen: list[dict[str, Any]] = []
    if direction == "before_id":
        listed.append({"id": "end"})
        query["before_id"] = "end"
    while True:
        found = given_page(listed, **query)
        data = found["data"]
        assert len(data) <= limit
        seen = data + seen if direction == "before_id" else seen + data
        ids = [item["id"] for item in data] or [None]
        assert (found["first_id"], found["last_id"]) == (ids[0], ids[-1])
        if not found["has_more"]:
            break
        query[direction] = ids[0] if direction == "before_id" else ids[-1]
    assert seen == items(count)


def test_a_page_has_twenty_items_unless_told() -> None:
    """The usual limit is twenty."""
    assert len(given_page(items(50))["data"]) == 20


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"limit": ["0"]}, "limit: Input should be greater than or equal to 1"),
        ({"limit": ["1001"]}, "limit: Input should be less than or equal to 1000"),
        ({"limit": ["many"]}, "limit: Input should be a valid integer"),
        ({"limit": ["\N{SUPERSCRIPT TWO}"]}, "limit: Input should be a valid integer"),
        ({"after_id": ["x"]}, "after_id: 'x' is not known"),
        (
            {"after_id": ["item_1"], "before_id": ["item_2"]},
            "Only one of after_id and before_id may be given",
        ),
    ],
)
def test_a_page_that_cannot_be_is_a_400(query: dict[str, list[str]], message: str) -> None:
    """Limits out of range and unknown cursors are refused."""
    found = page(items(3), query)
    assert isinstance(found, ApiError)
    assert (found.status, found.message) == (400, message)

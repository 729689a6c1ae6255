"""Tools are called when they are asked for, with input that fits, and their results reported."""

from __future__ import annotations

import random
from typing import Any

import pytest

from labkit.sim.answers import Composed, compose
from labkit.sim.answers.tools import called_tools


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    """Return the definition of a tool whose every property is required."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": description, "input_schema": schema}


TEXT = {"type": "string"}
WEATHER = tool("get_weather", "Get the weather of a city", city=TEXT)
CLOCK = tool("clock", "Tells the current time in a city", city=TEXT)
STOCK = tool(
    "lookupStock", "Return how many parcels wait in a warehouse", count={"type": "integer"}
)


def request(turn: Any, *tools: dict[str, Any], **change: Any) -> dict[str, Any]:
    """Return a request with one turn of the user and some tools."""
    body = {"model": "claude-haiku-5-5", "max_tokens": 500, "tools": list(tools)}
    return {**body, "messages": [{"role": "user", "content": turn}], **change}


def say(turn: Any, *tools: dict[str, Any], **change: Any) -> Composed:
    """Return what is said to it."""
    return compose(request(turn, *tools, **change), random.Random(0))


def calls(turn: Any, *tools: dict[str, Any], **change: Any) -> list[str]:
    """Return the names of the tools that it calls."""
    content = say(turn, *tools, **change).content
    return [block["name"] for block in content if block["type"] == "tool_use"]


@pytest.mark.parametrize(
    ("turn", "names"),
    [
        ("What is the weather in Berlin?", ["get_weather"]),
        ("Use get_weather.", ["get_weather"]),
        ("How do weathers differ?", ["get_weather"]),
        ("Is our stock enough?", ["lookupStock"]),
        ("How many parcels are in the warehouse?", ["lookupStock"]),
        ("The clock and the weather, please.", ["get_weather", "clock"]),
        ("Get me something in a parcel.", []),
        ("Why do queues grow?", []),
    ],
)
def test_a_tool_is_asked_for_by_its_name_or_by_two_words_of_its_description(
    turn: str, names: list[str]
) -> None:
    """Words such as "get" name nothing; two tools asked for are called at once."""
    assert calls(turn, WEATHER, CLOCK, STOCK) == names


def test_a_call_is_spelled_as_the_real_ones() -> None:
    """An id that says it is simulated, name, input and caller, and the stop reason tool_use."""
    composed = say("What is the weather in Berlin?", WEATHER)
    (block,) = composed.content
    assert list(block) == ["type", "id", "name", "input", "caller"]
    assert block["id"].startswith("toolu_sim")
    assert len(block["id"].partition("_")[2]) == 24
    assert block["input"] == {"city": "Berlin"}
    assert composed.stop_reason == "tool_use"
    assert composed.output_tokens > 0


def test_ids_differ_between_calls_and_between_requests() -> None:
    """No result can be taken for that of another call."""
    ids = [
        block["id"]
        for number in range(1, 50)
        for block in compose(
            request("The clock and the weather.", WEATHER, CLOCK), random.Random(number)
        ).content
    ]
    assert len(set(ids)) == len(ids) == 98


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ({"type": "auto"}, []),
        ({"type": "none"}, []),
        ({"type": "any"}, ["get_weather"]),
        ({"type": "tool", "name": "clock"}, ["clock"]),
    ],
)
def test_a_choice_may_force_a_call_that_nobody_asked_for(
    choice: dict[str, Any], names: list[str]
) -> None:
    """`any` takes the first tool, `tool` the one it names."""
    assert calls("Hello.", WEATHER, CLOCK, tool_choice=choice) == names


def test_a_choice_may_forbid_what_is_asked_for() -> None:
    """`none` calls nothing, and parallel calls can be ruled out."""
    turn = "The clock and the weather, please."
    assert calls(turn, WEATHER, CLOCK, tool_choice={"type": "none"}) == []
    alone = {"type": "auto", "disable_parallel_tool_use": True}
    assert calls(turn, WEATHER, CLOCK, tool_choice=alone) == ["get_weather"]


def test_the_servers_own_tools_are_never_called() -> None:
    """Tools without an input schema run on the server, and the simulator has none."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    assert called_tools(request("Search the web.", search)) == []


CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Berlin"}}


def answered(*results: dict[str, Any], **change: Any) -> Composed:
    """Return what is said once the weather has been asked for and results are back."""
    messages = [
        {"role": "user", "content": "What is the weather in Berlin?"},
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": list(results)},
    ]
    return say("", WEATHER, messages=messages, **change)


def result(content: Any, **more: Any) -> dict[str, Any]:
    """Return a block with the result of the call."""
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **more}


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (result("18 degrees,\nsunny"), "The tool get_weather said: 18 degrees, sunny"),
        (result([{"type": "text", "text": "rain"}]), "The tool get_weather said: rain"),
        (result("no such city", is_error=True), "The tool get_weather failed: no such city"),
        (result([]), "The tool get_weather said: nothing"),
        ({"type": "tool_result", "content": "?"}, "The tool called said: ?"),
    ],
)
def test_a_result_is_reported_and_ends_the_turn(block: dict[str, Any], said: str) -> None:
    """The final text repeats what the tool said, and calls nothing more."""
    composed = answered(block)
    assert composed.content[0]["text"] == f"Simulated answer. {said}"
    assert composed.stop_reason == "end_turn"


def test_every_result_is_reported_and_a_long_one_is_shortened() -> None:
    """Two hundred characters of each."""
    text = answered(result("x" * 999), result("second")).content[0]["text"]
    assert "x" * 200 in text
    assert "x" * 201 not in text
    assert "second" in text


def test_a_forced_call_is_made_again() -> None:
    """As on the real API: who forces a tool at every turn gets a call at every turn."""
    composed = answered(result("sunny"), tool_choice={"type": "tool", "name": "get_weather"})
    assert composed.stop_reason == "tool_use"

"""A scenario file says what Python could, and a mistake in it is told with line and field."""

from __future__ import annotations

import re
from contextlib import suppress
from math import inf, nan
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from anthropic import Anthropic, OverloadedError
from httpx2 import Client
from hypothesis import given
from hypothesis import strategies as st

from labkit.clock import VirtualClock
from labkit.errors import UserError
from labkit.sim import scenario as scenario_module
from labkit.sim.answers import Said
from labkit.sim.core import SimulatedApi
from labkit.sim.fault_kinds import FAULTS
from labkit.sim.faults import Fault
from labkit.sim.scenario import Scenario, parse_scenario, read_scenario
from labkit.sim.transport import ReplyTransport, Simulated

ALL = """
    about = "Everything at once"
    seed = 7
    tier = "build"
    comfortable = 40
    speed = 2.5

    [[fault]]
    kind = "overloaded"
    first = 3
    start = 10
    end = inf
    share = 0.5
    model = "claude-opus-5-5"
    path = "/v1/messages"

    [[reply]]
    request = 3
    text = "The third."

    [[fault]]
    kind = "stream_error"
    after = 4

    [[reply]]
    matches = 'order \\d+'
    stop_reason = "refusal"
    [reply.stop_details]
    type = "refusal"
    category = "cyber"

    [[reply]]
    contains = "weather"
    content = [{ type = "tool_use", name = "get_weather", input = { city = "Berlin" } }]
"""
SAME = Scenario(
    about="Everything at once",
    seed=7,
    tier="build",
    comfortable=40,
    speed=2.5,
    faults=(
        Fault(
            "overloaded",
            first=3,
            start=10,
            end=inf,
            share=0.5,
            model="claude-opus-5-5",
            path="/v1/messages",
        ),
        Fault("stream_error", after=4),
    ),
    script={
        3: Said("The third."),
        re.compile(r"order \d+"): Said("", "refusal", {"type": "refusal", "category": "cyber"}),
        "weather": Said([{"type": "tool_use", "name": "get_weather", "input": {"city": "Berlin"}}]),
    },
)


def parse(text: str) -> Scenario:
    """Read indented TOML."""
    return parse_scenario(dedent(text).strip("\n"), name="storm.toml")


def test_a_file_says_what_python_could() -> None:
    """Every field, read into the very objects one would write."""
    assert parse(ALL) == SAME


def test_an_empty_file_is_a_healthy_api() -> None:
    """Every field has a default, the same as in Python."""
    assert parse("") == Scenario()


def test_no_tier_is_spelled_none() -> None:
    """TOML has no null."""
    assert parse('tier = "none"').tier is None


def test_a_scenario_is_read_from_a_file(tmp_path: Path) -> None:
    """By its path, as text or as a `Path`."""
    path = tmp_path / "storm.toml"
    path.write_text(dedent(ALL), encoding="utf-8")
    assert read_scenario(path) == read_scenario(str(path)) == SAME


def test_the_example_in_the_documentation_works() -> None:
    """File and Python of the module's docstring are the same scenario."""
    text = str(scenario_module.__doc__).partition("\n\n")[2]
    file, _, python = text.partition("The same in Python is `")
    read = parse(file)
    written = eval(  # noqa: S307 - our own documentation
        " ".join(python.partition("`")[0].split()), {"Scenario": Scenario, "Fault": Fault}
    )
    assert read.faults == tuple(written.faults)
    assert (read.seed, read.tier) == (written.seed, written.tier)
    assert read.script == {when: Said(text) for when, text in written.script.items()}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed = 'a'", "storm.toml, line 1, seed: This should be a whole number, not 'a'."),
        ("# calm\nseed = true", "storm.toml, line 2, seed: This should be a whole number"),
        ("speed = 'fast'", "line 1, speed: This should be a number"),
        ("tier = 'gold'", "line 1, tier: There is no tier 'gold'; use one of start, build, scale"),
        ("comfortable = 0", "line 1, comfortable: "),
        ("speed = -1", "line 1, speed: "),
        ("speed = nan", "line 1, speed: "),
        ("sped = 1", "line 1, sped: There is no such field; is it speed?"),
        ("[faults]", "line 1, faults: There is no such field; is it fault?"),
        (
            "[fault]\nkind = 'slow'",
            "line 1, fault: This should be a list of tables, such as [[fault]]",
        ),
        ("fault = [1]", "fault 1: This should be a table, written as [[fault]]."),
        ("[[fault]]\nkind = 'flood'", "line 1, fault 1: There is no fault called 'flood'"),
        ("[[fault]]\nfirst = 3", "line 1, fault 1: A fault needs a kind."),
        ("[[fault]]\nkind='cut'\n[[fault]]\nkind='cut'\nafter=1.5", "line 5, fault 2, after: "),
        ("[[fault]]\nkind='cut'\nafer = 1", "line 3, fault 1, afer: There is no such field"),
        ("[[fault]]\nkind='slow'\nmodel='gpt'", "fault 1: A fault can only be limited to a model"),
        ("[[reply]]\ntext='x'", "line 1, reply 1: A reply needs one of request, contains"),
        ("[[reply]]\nrequest=1\ncontains='a'\ntext='x'", "line 1, reply 1: A reply needs one of"),
        ("[[reply]]\nrequest=1", "line 1, reply 1: A reply has a text"),
        ("[[reply]]\nrequest=0\ntext='x'", "line 2, reply 1, request: "),
        ("[[reply]]\nmatches='('\ntext='x'", "line 2, reply 1, matches: This is not a pattern"),
        ("[[reply]]\nrequest=1\nstop_reason='x'", "line 1, reply 1: There is no stop reason 'x'"),
        ("[[reply]]\nrequest=1\ncontent=['x']", "line 1, reply 1: A content block"),
        ("[[reply]]\nrequest=1\ntext='a'\n[[reply]]\nrequest=1\ntext='b'", "line 4, reply 2: "),
        ("seed = ", "storm.toml is not valid TOML: Invalid value (at"),
        ("a = 1\na = 2\n#", "storm.toml is not valid TOML: Cannot overwrite a value (at line 2"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, told: str) -> None:
    """File, line, table and field, and what to do."""
    with pytest.raises(UserError) as raised:
        parse(text)
    assert told in str(raised.value)
    assert str(raised.value).startswith("storm.toml")
    assert str(raised.value).count("storm.toml") == 1


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Neither a missing file nor a folder nor bytes that are no text are a traceback."""
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.toml", tmp_path, broken):
        with pytest.raises(UserError, match=re.escape(str(path))):
            read_scenario(path)


@pytest.mark.parametrize(
    "how",
    [
        {"tier": "gold"},
        {"tier": 3},
        {"comfortable": 0},
        {"comfortable": nan},
        {"comfortable": "many"},
        {"ramp": "2"},
        {"ramp": nan},
        {"spend_cap": "all"},
        {"spend_cap": nan},
        {"seed": "seven"},
        {"seed": [7]},
        {"speed": inf},
        {"speed": -0.1},
        {"speed": "fast"},
        {"script": "hello"},
    ],
    ids=str,
)
def test_a_scenario_that_cannot_be_is_refused_in_python_too(how: dict[str, Any]) -> None:
    """The same rules, whoever writes it."""
    with pytest.raises(UserError):
        Scenario(**how)


numbers = st.floats(0, 1000) | st.integers(0, 1000)
fields = st.fixed_dictionaries(
    {"kind": st.sampled_from(FAULTS)},
    optional={
        "first": st.integers(0, 99),
        "start": numbers,
        "share": st.floats(0, 1) | st.sampled_from([0, 1]),
        "retry_after": numbers,
        "after": st.integers(0, 99),
        "factor": st.floats(0.1, 99),
        "every": st.floats(0.1, 99),
        "lasts": numbers | st.just(inf),
        "model": st.just("claude-haiku-5-5"),
        "path": st.just("/v1/messages"),
    },
)


@given(st.lists(fields, max_size=4))
def test_any_timeline_can_be_written_down(timeline: list[dict[str, Any]]) -> None:
    """What Python takes, the file takes, field by field."""
    tables = [
        "\n".join(["[[fault]]", *(f"{name} = {_toml(value)}" for name, value in each.items())])
        for each in timeline
    ]
    expected = tuple(Fault(**each) for each in timeline)
    assert parse_scenario("\n".join(tables)).faults == expected


def _toml(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


@given(st.text(max_size=60))
def test_any_text_is_a_scenario_or_a_user_error(text: str) -> None:
    """Nothing else comes out of the reader."""
    with suppress(UserError):
        assert isinstance(parse_scenario(text), Scenario)


def test_a_scenario_plays_through_the_sdk() -> None:
    """Its first request is overloaded, its second gets the scripted answer."""
    scenario = parse("""
        seed = 3
        [[fault]]
        kind = "overloaded"
        first = 1
        [[reply]]
        contains = "refund"
        text = "Of course."
    """)
    api = SimulatedApi(seed=scenario.seed, faults=scenario.faults, script=scenario.script)
    http = Client(transport=ReplyTransport(Simulated(api), VirtualClock()))
    client = Anthropic(api_key="k", http_client=http, max_retries=0)
    ask: dict[str, Any] = {"model": "claude-haiku-5-5", "max_tokens": 50}
    ask["messages"] = [{"role": "user", "content": "A refund, please."}]
    with pytest.raises(OverloadedError):
        client.messages.create(**ask)
    answer: Any = client.messages.create(**ask).content[0]
    assert answer.text == "Of course."

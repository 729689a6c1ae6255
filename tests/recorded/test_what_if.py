"""What it would have cost otherwise: exact where prices decide, an estimate where words would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from labkit.errors import UnknownModel, UserError
from labkit.pricing import cost
from labkit.recorded.bill_text import alternatives_text
from labkit.recorded.call import RecordedCall
from labkit.recorded.report import Question, ledger
from labkit.recorded.what_if import Alternative, what_if
from tests.prompt_caching.families import conversation, questions, simulated
from tests.recorded.test_bill import calls, recorded


def named(found: Sequence[Alternative], name: str) -> Alternative:
    """Pick one of the alternatives."""
    (one,) = [each for each in found if each.name.startswith(name)]
    return one


def sent(bodies: Sequence[Mapping[str, Any]]) -> list[RecordedCall]:
    """Send requests to the simulated API, and return them as recorded calls."""
    found = []
    for number, (body, usage) in enumerate(zip(bodies, simulated(bodies, every_s=10), strict=True)):
        call = recorded(
            body["model"],
            input_tokens=usage.input_tokens,
            output_tokens=20,
            cache_read_input_tokens=usage.cache_read_input_tokens,
            cache_creation_input_tokens=usage.cache_creation_input_tokens,
        )
        found.append(replace(call, exchange=number + 1, request=body))
    return found


def test_prices_alone_are_worked_out_by_hand() -> None:
    """Opus 5.5, 1,000 in, 9,000 read, 100 out: uncached 10 x 4 + 2, halved, and on two models."""
    found = what_if(
        [recorded(cache_read_input_tokens=9000)], models=["claude-haiku-5-5", "claude-opus-5"]
    )
    uncached = named(found, "without prompt caching")
    assert (uncached.before, uncached.dollars) == (Decimal("0.0078"), Decimal("0.042"))
    assert uncached.estimate == ""
    assert named(found, "in batches").dollars == Decimal("0.0039")
    other = named(found, "with claude-haiku-5-5")
    assert other.dollars == Decimal("0.00024")
    assert other.estimate
    assert named(found, "with claude-opus-5").dollars == Decimal("0.012")


@given(calls)
def test_the_same_calls_stand_on_both_sides(found: list[RecordedCall]) -> None:
    """What nobody can tell is counted, and in neither sum."""
    for each in what_if(found, models=["claude-haiku-5-5"]):
        assert each.calls + each.unknown == len(found)
        known = [call.cost_usd for call in found if call.cost_usd is not None]
        assert 0 <= each.before <= sum(known, Decimal(0))
    assert alternatives_text(what_if(found)).startswith("What would this")


def test_caching_as_the_planner_sets_it_is_what_it_would_have_cost() -> None:
    """Against the same conversation, sent again with the breakpoints."""
    bodies = conversation(6, system="Be brief. " * 400)
    bare = sent(bodies)
    cached = named(what_if(bare), "with prompt caching")
    marked = [{**body, "cache_control": {"type": "ephemeral"}} for body in bodies]
    truth = sum(
        cost(body["model"], replace(usage, output_tokens=20))
        for body, usage in zip(marked, simulated(marked, every_s=10), strict=True)
    )
    assert cached.before == sum(call.cost_usd or 0 for call in bare)
    assert float(cached.dollars) == pytest.approx(float(truth), rel=0.02)
    assert cached.estimate


def test_trimming_shortens_long_conversations_alone() -> None:
    """A talk over the limit is cut and costs less; a short one stays as it is."""
    long, short = sent(conversation(12)), sent(questions(2))
    trimmed = named(what_if(long, trim=1500), "trimmed at 1,500 tokens")
    assert Decimal(0) < trimmed.dollars < trimmed.before
    same = named(what_if(short, trim=100_000), "trimmed")
    assert same.dollars == same.before


def test_without_the_request_caching_and_trimming_cannot_be_told() -> None:
    """A file of plain replies has prices and no words."""
    found = what_if([recorded()])
    for name in ("with prompt caching", "trimmed"):
        assert (named(found, name).calls, named(found, name).unknown) == (0, 1)
    assert "nobody can tell; 1 call unknown" in alternatives_text(found)


def test_requests_that_are_no_requests_do_no_harm() -> None:
    """Recorded bodies may be anything."""
    for body in ({"messages": [5]}, {"messages": [{"role": "user"}]}, {"messages": "x"}, {}):
        call = replace(recorded(), request=body)
        assert named(what_if([call, call]), "with prompt caching").calls in (0, 2)


def test_a_refusal_is_free_either_way() -> None:
    """Nothing is billed before any output."""
    free = replace(recorded(), cost_usd=Decimal(0), stop_reason="refusal")
    assert named(what_if([free]), "in batches").dollars == 0
    assert named(what_if([free]), "in batches").unknown == 0


def test_questions_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    """Another model must be known, and an explanation is no table."""
    with pytest.raises(UnknownModel):
        what_if([recorded()], models=["claude-9"])
    with pytest.raises(UserError):
        what_if([recorded()], trim=1)
    with pytest.raises(UserError, match="leave out"):
        ledger([tmp_path], json=True, question=Question(explain=True))


def test_the_command_answers_both_questions(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """In place of the table, and asking for a model alone is a question too."""
    usage = '{"input_tokens": 1000, "output_tokens": 100}'
    file = tmp_path / "reply.json"
    file.write_text(
        f'{{"type": "message", "model": "claude-opus-5-5", "content": [], "usage": {usage}}}'
    )
    assert ledger([file], question=Question(explain=True, what_if=True)) == 0
    told = capsys.readouterr().out
    assert "claude-opus-5-5: $0.006, 1 call" in told
    assert "in batches: $0.003 instead of $0.006 (-50%)" in told
    assert ledger([file], question=Question(models=("claude-haiku-4-5",))) == 0
    told = capsys.readouterr().out
    assert "By model" not in told
    assert "with claude-haiku-4-5: about $" in told

"""The catalogue answers for every model the SDK names, from sourced rows, and never guesses."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.catalog import ROLES, Model, Price, model, models, role, table
from labkit.errors import UnknownModel, UnknownPrice

NAMES = [name for row in models() for name in row.names]


def sdk_names() -> list[str]:
    """Collect the ids in the SDK's own type of a model."""
    from anthropic.types import model as sdk

    (union,) = (kind for kind in get_args(sdk.Model) if get_args(kind))
    return list(get_args(union))


def prices_of(row: Model) -> list[Price]:
    """Collect every price of a row."""
    step = row.step.price if row.step else None
    return [price for price in (row.price, row.fast_price, step) if price]


def test_every_model_id_of_the_sdk_is_answered() -> None:
    """The 22 ids of the SDK all have a row, under that very name."""
    names = sdk_names()
    assert len(names) == 22
    assert all(name in model(name).names for name in names)


def test_retirement_days_are_those_the_sdk_warns_with() -> None:
    """Whatever the SDK calls deprecated retires here on the day the SDK gives."""
    from anthropic.resources.messages.messages import DEPRECATED_MODELS

    warned = {name: day for name, day in DEPRECATED_MODELS.items() if name in NAMES}
    assert len(warned) >= 10
    for name, day in warned.items():
        plain = re.sub(r"(\d)(st|nd|rd|th)", r"\1", day)
        assert model(name).retires == datetime.strptime(plain, "%B %d, %Y").date()


def test_no_model_has_two_rows() -> None:
    """A name leads to one row."""
    assert len(NAMES) == len(set(NAMES))


def test_every_line_of_the_tables_is_used() -> None:
    """No price, source or alias is left over from a row that is gone."""
    rows = [line.split() for line in table.MODELS.strip().splitlines()[1:]]
    prices = [line.split() for line in table.PRICES.strip().splitlines()[1:]]
    bases = {price[0].replace(">", "+").split("+")[0] for price in prices}
    assert bases == {row[7] for row in rows} - {"-"}
    sources = {line.split()[0] for line in table.SOURCES.strip().splitlines()}
    assert sources == {price[-1] for price in prices}
    assert {line.split()[0] for line in table.ALIASES.strip().splitlines()} <= set(NAMES)


@pytest.mark.parametrize("row", models(), ids=lambda row: row.id)
def test_prices_are_exact_positive_and_sourced(row: Model) -> None:
    """A price is five decimals above zero, with a source and the day it was checked."""
    if row.price is None:
        assert row.price_source is None
        assert row.fast_price is None
        return
    for price in prices_of(row):
        figures = [getattr(price, name) for name in Price.__slots__]
        assert all(type(figure) is Decimal and figure > 0 for figure in figures)
    assert row.price_source
    assert row.price_checked is not None


def test_prompt_cache_rates_follow_the_published_multipliers() -> None:
    """Writes cost 1.25 and 2 times the input, reads a tenth, a twentieth or a fortieth."""
    twentieth = {"claude-opus-5-5", "claude-sonnet-5-5"}
    fortieth = {f"claude-{line}-5-{minor}" for line in ("fable", "mythos") for minor in (1, 2)}
    for row in models():
        if row.price is None or row.id == "claude-3-haiku-20240307":  # its rates were rounded
            continue
        read = "0.05" if row.id in twentieth else "0.025" if row.id in fortieth else "0.1"
        for price in prices_of(row):
            assert price.cache_write_5m == price.input * Decimal("1.25")
            assert price.cache_write_1h == price.input * 2
            assert price.cache_read == price.input * Decimal(read)


def test_a_dated_id_leads_to_the_same_row_as_its_alias() -> None:
    """Replies carry the dated id, requests often the short one."""
    assert model("claude-haiku-4-5-20251001") is model("claude-haiku-4-5")


def test_facts_of_a_current_model() -> None:
    """A row tells window, output, tokens, shortest prefix and life."""
    row = model("claude-haiku-5-5")
    assert (row.line, row.context_window, row.max_output) == ("haiku", 1_000_000, 128_000)
    assert (row.tokenizer, row.min_cacheable) == ("new", 512)
    assert row.released == date(2026, 10, 7)
    assert row.us_only_inference
    assert row.retires is None
    assert row.retires_not_before == date(2027, 10, 7)


def test_what_is_not_established_is_none() -> None:
    """A gap in the facts is a None in the row, never a guess."""
    assert model("claude-mythos-preview").price is None
    assert model("claude-fable-5-2").min_cacheable is None
    assert model("claude-fable-5-2").fast_price is None


@pytest.mark.parametrize(
    ("prompt", "dollars"), [(0, "0.10"), (100_000, "0.10"), (100_001, "0.50"), (10**6, "0.50")]
)
def test_the_long_prompt_step_begins_after_one_hundred_thousand(prompt: int, dollars: str) -> None:
    """Exactly 100,000 tokens are still at the low price."""
    assert model("claude-haiku-5-5").price_for(prompt).input == Decimal(dollars)


@pytest.mark.parametrize(
    ("name", "fast"), [("claude-mythos-preview", False), ("claude-fable-5-2", True)]
)
def test_asking_for_an_unestablished_price_is_an_error(name: str, fast: bool) -> None:
    """An unknown price is never zero."""
    with pytest.raises(UnknownPrice, match=name):
        model(name).price_for(10, fast=fast)


def test_lifecycle_of_a_model_with_an_announced_end() -> None:
    """It is deprecated until its last day and retired from then on."""
    row = model("claude-sonnet-4-5")
    assert row.lifecycle(date(2026, 11, 29)) == "deprecated"
    assert row.lifecycle(date(2026, 11, 30)) == "retired"
    assert model("claude-opus-4-5").lifecycle(date(2027, 1, 1)) == "active"


def test_an_unknown_model_is_an_error_that_names_the_nearest() -> None:
    """A slip of the finger is answered with what was probably meant."""
    with pytest.raises(UnknownModel, match=r"'claude-sonet-5'.*claude-sonnet-5"):
        model("claude-sonet-5")


@given(st.text(max_size=40))
def test_any_other_name_is_an_error_with_a_suggestion(name: str) -> None:
    """Whatever is asked for, the answer is a row of that name or an error that helps."""
    if name in NAMES:
        assert name in model(name).names
        return
    with pytest.raises(UnknownModel, match="The nearest: claude-"):
        model(name)


def test_roles_are_current_models_of_rising_price() -> None:
    """Fast, balanced and strong lead to active, priced models, each dearer than the last."""
    rows = [role(name) for name in ("fast", "balanced", "strong")]
    assert set(ROLES) == {"fast", "balanced", "strong"}
    inputs = [row.price_for(0).input for row in rows]
    assert inputs == sorted(set(inputs))
    assert all(row.lifecycle(date(2026, 11, 22)) == "active" for row in rows)


def test_an_unknown_role_is_an_error_that_names_the_roles() -> None:
    """The message lists what may be asked for."""
    with pytest.raises(UnknownModel, match="fast, balanced, strong"):
        role("cheapest")


def test_roles_cannot_be_changed_from_outside() -> None:
    """The catalogue is the same for everybody in a process."""
    with pytest.raises(TypeError):
        ROLES["fast"] = "claude-opus-5-5"  # type: ignore[index]

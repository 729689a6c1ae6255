"""Every model id of the SDK against eight shapes of usage: sums worked out apart from the code.

The figures are millionths of a dollar, made from the published rates (claude-api.md 1.2) without
the catalogue: counts of tokens times dollars a million, the batch at half, and the long prompt of
Haiku 5.5 at its higher rates.  A dash is an unknown price, which is an error and never zero.
"""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

import pytest
from anthropic.types.model import Model

from labkit.errors import UnknownPrice
from labkit.pricing import cost
from labkit.usage import Usage

MIXED = Usage(
    input_tokens=1_000,
    cache_creation_5m=2_000,
    cache_creation_1h=3_000,
    cache_read_input_tokens=10_000,
    output_tokens=500,
)
SHAPES = {
    "input": Usage(input_tokens=10_000),
    "output": Usage(output_tokens=1_000),
    "read": Usage(cache_read_input_tokens=10_000),
    "write-5m": Usage(cache_creation_5m=2_000),
    "write-1h": Usage(cache_creation_1h=3_000),
    "mixed": MIXED,
    "batch": Usage(
        input_tokens=1_000,
        cache_creation_5m=2_000,
        cache_creation_1h=3_000,
        cache_read_input_tokens=10_000,
        output_tokens=500,
        service_tier="batch",
    ),
    "long": Usage(input_tokens=100_001, output_tokens=1_000),
}

BY_HAND = """
id                           input   output     read write-5m write-1h    mixed    batch     long
claude-fable-5-2             80000    40000     2000    20000    48000    98000    49000   840008
claude-mythos-5-2            80000    40000     2000    20000    48000    98000    49000   840008
claude-haiku-5-5              1000      500      100      250      600     1300      650  52500.5
claude-sonnet-5-5            20000    10000     1000     5000    12000    25000    12500   210002
claude-fable-5-1            100000    50000     2500    25000    60000   122500    61250  1050010
claude-opus-5-5              40000    20000     2000    10000    24000    50000    25000   420004
claude-mythos-5-1           100000    50000     2500    25000    60000   122500    61250  1050010
claude-sonnet-5              20000    10000     2000     5000    12000    26000    13000   210002
claude-fable-5              100000    50000    10000    25000    60000   130000    65000  1050010
claude-mythos-5             100000    50000    10000    25000    60000   130000    65000  1050010
claude-opus-5                50000    25000     5000    12500    30000    65000    32500   525005
claude-opus-4-8              50000    25000     5000    12500    30000    65000    32500   525005
claude-opus-4-7              50000    25000     5000    12500    30000    65000    32500   525005
claude-mythos-preview            -        -        -        -        -        -        -        -
claude-opus-4-6              50000    25000     5000    12500    30000    65000    32500   525005
claude-sonnet-4-6            30000    15000     3000     7500    18000    39000    19500   315003
claude-haiku-4-5             10000     5000     1000     2500     6000    13000     6500   105001
claude-haiku-4-5-20251001    10000     5000     1000     2500     6000    13000     6500   105001
claude-opus-4-5              50000    25000     5000    12500    30000    65000    32500   525005
claude-opus-4-5-20251101     50000    25000     5000    12500    30000    65000    32500   525005
claude-sonnet-4-5            30000    15000     3000     7500    18000    39000    19500   315003
claude-sonnet-4-5-20250929   30000    15000     3000     7500    18000    39000    19500   315003
"""


def by_hand() -> list[tuple[str, str, str]]:
    """Return (id, shape, millionths of a dollar or a dash) for each figure."""
    head, *rows = (line.split() for line in BY_HAND.strip().splitlines())
    return [
        (name, shape, figure)
        for name, *figures in rows
        for shape, figure in zip(head[1:], figures, strict=True)
    ]


@pytest.mark.parametrize(("name", "shape", "figure"), by_hand())
def test_a_cost_is_the_sum_worked_out_apart(name: str, shape: str, figure: str) -> None:
    """To the last digit, or an error where there is no price."""
    if figure == "-":
        with pytest.raises(UnknownPrice):
            cost(name, SHAPES[shape])
    else:
        assert cost(name, SHAPES[shape]) == Decimal(figure) / 1_000_000


def test_every_id_of_the_sdk_is_in_the_table() -> None:
    """All 22 of them, with eight shapes each; a new one in the SDK is missed here."""
    literal = next(part for part in get_args(Model) if get_args(part))
    ids = {name for name, _, _ in by_hand()}
    assert ids == set(get_args(literal))
    assert len(by_hand()) == 22 * 8
    assert {shape for _, shape, _ in by_hand()} == set(SHAPES)

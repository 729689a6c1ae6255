"""Usage reads what the API sends, from every year of it, and refuses what is no count."""

from __future__ import annotations

from typing import Any

import pytest
from anthropic.types import Usage as SdkUsage
from anthropic.types.beta import BetaUsage
from hypothesis import given
from hypothesis import strategies as st

from labkit.errors import UserError
from labkit.usage import SubUsage, Usage

COUNTS = st.integers(min_value=0, max_value=10**9)


def split(five_minutes: int, one_hour: int) -> dict[str, int]:
    """Build the API's `cache_creation`."""
    return {"ephemeral_5m_input_tokens": five_minutes, "ephemeral_1h_input_tokens": one_hour}


def test_reads_everything_the_newest_api_sends() -> None:
    """Every field arrives under its name, the nested ones too."""
    usage = Usage.from_api(
        {
            "input_tokens": 1,
            "output_tokens": 20,
            "cache_read_input_tokens": 300,
            "cache_creation_input_tokens": 9_000,
            "cache_creation": split(4_000, 5_000),
            "output_tokens_details": {"thinking_tokens": 12},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 3},
            "service_tier": "standard",
            "inference_geo": "us",
            "speed": "fast",
        }
    )
    assert usage == Usage(
        input_tokens=1,
        output_tokens=20,
        cache_read_input_tokens=300,
        cache_creation_5m=4_000,
        cache_creation_1h=5_000,
        thinking_tokens=12,
        web_search_requests=2,
        web_fetch_requests=3,
        service_tier="standard",
        inference_geo="us",
        speed="fast",
    )
    assert usage.prompt_tokens == 9_301
    assert usage.cache_creation_input_tokens == 9_000


def test_reads_what_the_first_api_sent() -> None:
    """Two counts are enough; all else is optional, null included."""
    old = {"input_tokens": 5, "output_tokens": 6}
    nulls = dict.fromkeys(("cache_creation", "cache_read_input_tokens", "service_tier"))
    assert Usage.from_api(old) == Usage(input_tokens=5, output_tokens=6)
    assert Usage.from_api(old | nulls) == Usage.from_api(old)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_the_sdks_model_and_a_mapping_read_alike(
    sent: int, read: int, five_minutes: int, one_hour: int, out: int
) -> None:
    """It makes no difference whether the SDK parsed the usage first."""
    raw: dict[str, Any] = {
        "input_tokens": sent,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": five_minutes + one_hour,
        "cache_creation": split(five_minutes, one_hour),
        "output_tokens": out,
        "service_tier": "batch",
    }
    assert Usage.from_api(SdkUsage.model_validate(raw)) == Usage.from_api(raw)


def test_the_betas_model_brings_its_iterations() -> None:
    """Sub-calls are found in the SDK's beta usage too."""
    entry = {"input_tokens": 7, "output_tokens": 8, "cache_creation_input_tokens": 0}
    compaction = entry | {"cache_read_input_tokens": 0, "type": "compaction"}
    raw = {"input_tokens": 1, "output_tokens": 2, "iterations": [compaction]}
    usage = Usage.from_api(BetaUsage.model_validate(raw))
    assert usage.extras == (SubUsage("compaction", None, Usage(input_tokens=7, output_tokens=8)),)


def test_cache_writes_without_their_split_count_as_five_minutes_and_say_so() -> None:
    """The older replies give one total; the cheaper, default lifetime is assumed openly."""
    usage = Usage.from_api(
        {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 1_031}
    )
    assert (usage.cache_creation_5m, usage.cache_creation_1h) == (1_031, 0)
    assert usage.cache_split_assumed


def test_no_cache_writes_need_no_assumption() -> None:
    """A total of zero has only one split."""
    usage = Usage.from_api(
        {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": 0}
    )
    assert not usage.cache_split_assumed


def test_a_total_above_its_split_keeps_the_known_part() -> None:
    """Only the tokens nobody accounted for are assumed."""
    usage = Usage.from_api(
        {
            "input_tokens": 0,
            "output_tokens": 0,
            "cache_creation_input_tokens": 100,
            "cache_creation": split(0, 70),
        }
    )
    assert (usage.cache_creation_5m, usage.cache_creation_1h) == (30, 70)
    assert usage.cache_split_assumed


def test_a_split_above_its_total_is_refused() -> None:
    """Counts that contradict each other have no price."""
    with pytest.raises(
        UserError, match="adds up to 11 tokens, cache_creation_input_tokens says 10"
    ):
        Usage.from_api(
            {
                "input_tokens": 0,
                "output_tokens": 0,
                "cache_creation_input_tokens": 10,
                "cache_creation": split(5, 6),
            }
        )


def test_message_iterations_are_inside_the_top_level_and_the_others_on_top() -> None:
    """Compaction belongs to the same model, an advisor to its own; both inherit tier and region."""
    entry = {"input_tokens": 10, "output_tokens": 1}
    usage = Usage.from_api(
        {
            "input_tokens": 20,
            "output_tokens": 2,
            "service_tier": "batch",
            "inference_geo": "us",
            "speed": "fast",
            "iterations": [
                entry | {"type": "message"},
                entry | {"type": "compaction"},
                entry | {"type": "advisor_message", "model": "claude-opus-4-8"},
            ],
        }
    )
    own = {"input_tokens": 10, "output_tokens": 1}
    where = {"service_tier": "batch", "inference_geo": "us"}
    assert usage.input_tokens == 20
    assert usage.extras == (
        SubUsage("compaction", None, Usage(**own, **where, speed="fast")),  # type: ignore[arg-type]
        SubUsage("advisor_message", "claude-opus-4-8", Usage(**own, **where)),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("kind", ["fallback_message", "advisor_message", "dreaming"])
def test_a_sub_call_nobody_can_price_is_named(kind: str) -> None:
    """A kind without established billing, or an advisor without a model, bars a price."""
    entry = {"input_tokens": 10, "output_tokens": 1, "type": kind}
    usage = Usage.from_api({"input_tokens": 1, "output_tokens": 1, "iterations": [entry]})
    assert kind in str(usage.unpriceable)


def test_a_fallback_credit_bars_a_price() -> None:
    """What a credit takes off is not established."""
    usage = Usage.from_api(
        {"input_tokens": 1, "output_tokens": 1, "fallback_credit": {"status": {"type": "redeemed"}}}
    )
    assert usage.unpriceable is not None


@pytest.mark.parametrize("wrong", ["19", 1.0, True, -1, 10**16, [], float("nan")])
def test_what_is_no_count_of_tokens_is_refused(wrong: object) -> None:
    """A string, a fraction, a truth value, a negative or absurd number is never priced."""
    with pytest.raises(UserError, match="input_tokens"):
        Usage.from_api({"input_tokens": wrong, "output_tokens": 1})


@pytest.mark.parametrize("source", [None, {}, {"input_tokens": 3}, "usage", object()])
def test_a_missing_count_is_refused_not_taken_for_zero(source: object) -> None:
    """Without both counts there is no usage."""
    with pytest.raises(UserError, match=r"The usage has no (in|out)put_tokens"):
        Usage.from_api(source)

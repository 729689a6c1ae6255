"""The list of models on a day, as the official SDK reads it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from labkit.catalog import models
from labkit.recorded.exchange import exchanges
from labkit.recorded.tolerant_yaml import read_yaml
from labkit.sim.models_api import list_models, retrieve_model
from labkit.sim.problem import ApiError

TODAY = date(2026, 11, 22)
ALL = ("active", "deprecated", "retired")
RECORDING = Path("../shared/recordings/chatlas--models_list.yaml")


def listed(*stages: str, today: date = TODAY) -> list[dict[str, Any]]:
    """The models of a list that is no error, on one page."""
    query = {"limit": ["1000"], **({"lifecycle[]": stages} if stages else {})}
    found = list_models(query, today)
    assert not isinstance(found, ApiError)
    data: list[dict[str, Any]] = found["data"]
    return data


def test_retired_models_are_listed_only_when_asked_for() -> None:
    """The usual list holds active and deprecated models."""
    assert {model["lifecycle"] for model in listed()} == {"active", "deprecated"}
    assert {model["lifecycle"] for model in listed("retired")} == {"retired"}
    assert len(listed(*ALL)) == len(models())


def test_the_day_decides_the_lifecycle() -> None:
    """Sonnet 4.5 is deprecated until the day it retires, and then leaves the list."""
    before = retrieve_model("claude-sonnet-4-5", date(2026, 11, 29))
    assert not isinstance(before, ApiError)
    assert (before["lifecycle"], before["retires_at"]) == ("deprecated", "2026-11-30T00:00:00Z")
    after = retrieve_model("claude-sonnet-4-5", date(2026, 11, 30))
    assert not isinstance(after, ApiError)
    assert after["lifecycle"] == "retired"
    assert after["id"] not in [model["id"] for model in listed(today=date(2026, 11, 30))]


def test_an_alias_leads_to_the_dated_model() -> None:
    """A model is found by its short name and shows the id the API writes."""
    found = retrieve_model("claude-haiku-4-5", TODAY)
    assert not isinstance(found, ApiError)
    assert found["id"] == "claude-haiku-4-5-20251001"
    assert found == retrieve_model("claude-haiku-4-5-20251001", TODAY)


def test_an_unknown_model_is_a_404() -> None:
    """The message names the model."""
    assert retrieve_model("claude-9", TODAY) == ApiError(404, "not_found_error", "model: claude-9")


def test_an_unknown_stage_is_a_400() -> None:
    """The filter knows three stages."""
    found = list_models({"lifecycle[]": ["active", "dead"]}, TODAY)
    assert isinstance(found, ApiError)
    assert found.message == "lifecycle.1: Input should be 'active', 'deprecated' or 'retired'"


def test_capabilities_say_what_a_request_may_ask_for() -> None:
    """Thinking and effort of a model agree with what requests to it are judged by."""
    haiku, opus = (retrieve_model(f"claude-{name}", TODAY) for name in ("haiku-5-5", "opus-4-5"))
    assert not isinstance(haiku, ApiError)
    assert not isinstance(opus, ApiError)
    types = haiku["capabilities"]["thinking"]["types"]
    assert {kind for kind, is_ in types.items() if is_["supported"]} == {"adaptive", "disabled"}
    assert haiku["capabilities"]["effort"]["xhigh"] == {"supported": True}
    assert opus["capabilities"]["effort"]["max"] == {"supported": False}
    assert opus["capabilities"]["effort"]["supported"]


def test_the_sdk_reads_every_model_whole() -> None:
    """Each object has every field of the SDK's own type, and no other."""
    from anthropic.types import ModelInfo

    for described in listed(*ALL):
        read = ModelInfo.model_validate(described, strict=False)
        assert read.model_extra in (None, {})
        assert set(described) == set(ModelInfo.model_fields)
        written = json.loads(read.model_dump_json(exclude={"created_at", "retires_at"}))
        dated = ("created_at", "retires_at")
        assert written == {name: value for name, value in described.items() if name not in dated}


@pytest.mark.skipif(not RECORDING.exists(), reason="../shared/recordings is not here")
def test_names_days_and_order_are_those_of_the_recorded_list() -> None:
    """Every recorded model is listed as recorded, in the recorded order."""
    (exchange,) = exchanges(read_yaml(RECORDING.read_text(encoding="utf-8"))) or []
    assert exchange is not None
    body: Any = exchange.body
    real = json.loads(body)["data"] if isinstance(body, str | bytes) else body["data"]
    shown = ("id", "type", "display_name", "created_at")
    names = [model["id"] for model in real]
    ours = [model for model in listed(*ALL) if model["id"] in names]
    assert [{name: model[name] for name in shown} for model in ours] == real

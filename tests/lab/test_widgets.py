"""Predictions and playgrounds, with somebody there and with nobody."""

from __future__ import annotations

from typing import Any

import ipywidgets
import pandas as pd
import pytest
from IPython.core import display_functions

from labkit.errors import UserError
from labkit.lab.widgets import Prediction, Slider, attended, playground, predict

CHOICES = ("less than a second", "about a minute", "an hour")


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is displayed, instead of displaying it."""
    things: list[Any] = []
    monkeypatch.setattr(display_functions, "display", things.append)
    monkeypatch.setattr("IPython.display.display", things.append)
    return things


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A learner at the keyboard."""
    monkeypatch.delenv("LABKIT_UNATTENDED", raising=False)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check, a test or a static export."""
    monkeypatch.setenv("LABKIT_UNATTENDED", "1")


@pytest.mark.parametrize(("value", "there"), [("1", False), ("0", True), ("", True), (None, True)])
def test_whether_somebody_is_there(
    monkeypatch: pytest.MonkeyPatch, value: str | None, there: bool
) -> None:
    """One variable says so."""
    monkeypatch.delenv("LABKIT_UNATTENDED", raising=False)
    if value is not None:
        monkeypatch.setenv("LABKIT_UNATTENDED", value)
    assert attended() is there


@pytest.mark.usefixtures("nobody")
def test_unattended_a_prediction_is_its_default_as_text(shown: list[Any]) -> None:
    """The same every time, without a widget's random ids."""
    guess = predict("How long?", CHOICES, default="an hour")
    guess._ipython_display_()
    assert repr(shown[0]) == (
        "Predict: How long?\n  ( ) less than a second\n  ( ) about a minute\n  (x) an hour"
    )
    assert guess.reveal("about a minute") == "You said: an hour. What happened: about a minute."
    assert guess.reveal("an hour") == "You said: an hour. That is what happened."
    assert predict("How long?", CHOICES).value == CHOICES[0]


@pytest.mark.usefixtures("somebody")
def test_a_learners_choice_counts(shown: list[Any]) -> None:
    """What is clicked is the guess, and the question is shown as it is written."""
    guess = predict("Is 1 < 2?", CHOICES)
    guess._ipython_display_()
    (box,) = shown
    question, buttons = box.children
    assert "Is 1 &lt; 2?" in question.value
    assert buttons.options == CHOICES
    buttons.value = "about a minute"
    assert guess.value == "about a minute"
    assert "(x) about a minute" in str(guess)
    guess._ipython_display_()
    assert shown[1].children[1].value == "about a minute"


def test_a_prediction_that_cannot_be_is_refused() -> None:
    """Defaults and answers are among the choices, and there are some."""
    with pytest.raises(UserError, match="default 'never'"):
        predict("How long?", CHOICES, default="never")
    with pytest.raises(UserError, match="answer 'never'"):
        Prediction("How long?", CHOICES, CHOICES[0]).reveal("never")
    with pytest.raises(UserError, match="at least one choice"):
        predict("How long?", [])


class Chart:
    """A chart with its figures."""

    def __init__(self, **values: Any) -> None:
        self.values = values
        self.figures = pd.DataFrame({"x": range(100), "y": [1 / 3] * 100})


@pytest.mark.usefixtures("nobody")
def test_unattended_a_playground_is_drawn_once(shown: list[Any]) -> None:
    """With the starting values, said in words, and with its figures as a table."""
    playground(Chart, retries=Slider(2, 0, 5), jitter_kind=["full", "none"])
    told, chart, table = shown
    assert repr(told) == ("Playground at its starting values: retries = 2, jitter kind = full.")
    assert chart.values == {"retries": 2, "jitter_kind": "full"}
    assert table._repr_html_().startswith("<details><summary>")
    assert len(repr(table).splitlines()) == 41
    assert "0.3333" in repr(table)


@pytest.mark.usefixtures("somebody")
def test_a_playground_has_a_control_for_each_parameter(shown: list[Any]) -> None:
    """Whole numbers and fractions get their own sliders, words a list to choose from."""
    playground(Chart, retries=Slider(2, 0, 5), share=Slider(0.1, 0, 1, 0.1), kind=["full", "none"])
    box = shown[-1]
    whole, part, words, output = box.children
    assert isinstance(whole, ipywidgets.IntSlider)
    assert isinstance(part, ipywidgets.FloatSlider)
    assert words.options == ("full", "none")
    assert isinstance(output, ipywidgets.Output)
    assert whole.description == "retries"


@pytest.mark.parametrize(
    ("value", "low", "high", "step"), [(9, 0, 5, 1), (-1, 0, 5, 1), (1, 0, 5, 0)]
)
def test_a_slider_that_cannot_be_is_refused(value: int, low: int, high: int, step: int) -> None:
    """It starts within its range and moves."""
    with pytest.raises(UserError):
        Slider(value, low, high, step)

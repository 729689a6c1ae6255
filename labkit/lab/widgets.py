"""Two widgets for lessons: a prediction to commit to, and a playground of sliders.

Both work without a front end.  Where nobody is there to click (a check, a test, a static
export) they show their default as plain text, the same every time.
"""

from __future__ import annotations

import html
import os
from collections.abc import Callable, Sequence
from typing import Any

from labkit.errors import UserError

__all__ = ["Prediction", "Slider", "attended", "playground", "predict"]


def attended() -> bool:
    """Whether somebody may be there to click; LABKIT_UNATTENDED=1 says nobody is."""
    return os.environ.get("LABKIT_UNATTENDED", "") in ("", "0")


class Prediction:
    """A learner's guess: `value` is the choice made, or the default until one is made."""

    def __init__(self, question: str, choices: Sequence[str], default: str) -> None:
        if default not in choices:
            raise UserError(f"The default {default!r} is not one of the choices.")
        self.question, self.choices, self.default = question, tuple(choices), default
        self._buttons: Any = None

    @property
    def value(self) -> str:
        """The choice made so far."""
        return str(self._buttons.value) if self._buttons is not None else self.default

    def reveal(self, answer: str) -> str:
        """Compare the guess with what was measured; `answer` must be one of the choices."""
        if answer not in self.choices:
            raise UserError(f"The answer {answer!r} is not one of the choices.")
        if self.value == answer:
            return f"You said: {self.value}. That is what happened."
        return f"You said: {self.value}. What happened: {answer}."

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not attended():
            display(_Text(str(self)))  # type: ignore[no-untyped-call]
            return
        import ipywidgets

        self._buttons = ipywidgets.RadioButtons(
            options=self.choices, value=self.value, layout={"width": "max-content"}
        )
        question = ipywidgets.HTML(f"<b>Predict:</b> {html.escape(self.question)}")
        display(ipywidgets.VBox([question, self._buttons]))  # type: ignore[no-untyped-call]

    def __str__(self) -> str:
        marks = "\n".join(
            f"  ({'x' if choice == self.value else ' '}) {choice}" for choice in self.choices
        )
        return f"Predict: {self.question}\n{marks}"


def predict(question: str, choices: Sequence[str], *, default: str | None = None) -> Prediction:
    """Ask for a guess before the reveal; show the result as a cell's last line.

    Unattended, `default` (or the first choice) is the guess.
    """
    if not choices:
        raise UserError("A prediction needs at least one choice.")
    return Prediction(question, choices, default if default is not None else choices[0])


class Slider:
    """A range of numbers for `playground`: from `low` to `high` in steps, starting at `value`."""

    def __init__(self, value: float, low: float, high: float, step: float = 1) -> None:
        if not low <= value <= high:
            raise UserError(f"A slider from {low} to {high} cannot start at {value}.")
        if step <= 0:
            raise UserError(f"A slider moves in steps above 0, not {step}.")
        self.value, self.low, self.high, self.step = value, low, high, step

    def widget(self, name: str) -> Any:
        """Return the ipywidgets slider, labelled with the parameter's name in words."""
        import ipywidgets

        whole = all(isinstance(x, int) for x in (self.value, self.low, self.high, self.step))
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        return kind(
            value=self.value,
            min=self.low,
            max=self.high,
            step=self.step,
            description=name.replace("_", " "),
            continuous_update=False,
            style={"description_width": "12em"},
            layout={"width": "32em"},
        )


def playground(draw: Callable[..., object], **controls: Slider | Sequence[str]) -> None:
    """Draw with sliders (or drop-downs, for a sequence of words) for the parameters of `draw`.

    `draw` returns a chart; below it the same figures appear as a table.  Unattended, it is
    drawn once with the starting values.
    """
    from IPython.display import display

    start = {
        name: control.value if isinstance(control, Slider) else control[0]
        for name, control in controls.items()
    }

    def show(**values: Any) -> None:
        chart = draw(**values)
        display(chart)  # type: ignore[no-untyped-call]
        figures = getattr(chart, "figures", None)
        if figures is not None:
            display(_Table(figures))  # type: ignore[no-untyped-call]

    if not attended():
        told = ", ".join(f"{name.replace('_', ' ')} = {value}" for name, value in start.items())
        display(_Text(f"Playground at its starting values: {told}."))  # type: ignore[no-untyped-call]
        show(**start)
        return
    import ipywidgets

    widgets = {
        name: control.widget(name)
        if isinstance(control, Slider)
        else ipywidgets.Dropdown(options=list(control), description=name.replace("_", " "))
        for name, control in controls.items()
    }
    output = ipywidgets.interactive_output(show, widgets)
    display(ipywidgets.VBox([*widgets.values(), output]))  # type: ignore[no-untyped-call]


class _Text:
    """Plain text as a display, without the quotes of a string's repr."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class _Table:
    """A chart's figures as a table, folded away until asked for."""

    def __init__(self, figures: Any, most: int = 40) -> None:
        self._figures = figures.head(most)

    def _repr_html_(self) -> str:
        table = self._figures.to_html(index=False, border=0, float_format="{:.4g}".format)
        return f"<details><summary>The same figures as a table</summary>{table}</details>"

    def __repr__(self) -> str:
        return str(self._figures.to_string(index=False, float_format="{:.4g}".format))

"""A laid-out request timeline as an Altair chart."""

from __future__ import annotations

from typing import Any

from labkit.lab.charts._lanes import Layout, Panel
from labkit.lab.charts._marks import literal, rows_of
from labkit.lab.charts._theme import GAP, INK, TEXT, WAITING, text_width
from labkit.lab.charts._words import duration

__all__ = ["drawn"]


def drawn(plan: Layout) -> Any:
    """Draw every panel of a timeline, above each other or side by side, under one key."""
    import altair as alt

    last = len(plan.panels) - 1
    panels = [
        _panel(panel, plan, last=not plan.stacked or place == last)
        for place, panel in enumerate(plan.panels)
    ]
    if not plan.stacked:
        panels = [alt.hconcat(*panels, spacing=GAP)]
    return alt.vconcat(_key(plan), *panels, spacing=14)


def _key(plan: Layout) -> Any:
    """Draw the key to the shapes and colours that occur, in a row of its own."""
    import altair as alt

    rows, left = [], -plan.gutter
    for look in plan.looks:
        rows.append({"x": left + 6, "y": 6, "word": look.words})
        rows[-1] |= {"shape": look.shape, "colour": look.paint.light}
        left += text_width(look.words) + 34
    key = rows_of(rows).encode(literal(alt.X, "x"), literal(alt.Y, "y"))
    shapes = key.mark_point(filled=True, opacity=1, size=78)
    words = key.mark_text(align="left", baseline="middle", dx=12, color=TEXT.light)
    told = shapes.encode(literal(alt.Shape, "shape"), literal(alt.Color, "colour"))
    return alt.layer(told, words.encode(text="word:N")).properties(
        width=plan.scale.width, height=12
    )


def _panel(panel: Panel, plan: Layout, *, last: bool) -> Any:
    """Draw one client's lanes; only the `last` of a column carries the time axis."""
    import altair as alt

    shape = ((alt.Shape, "shape"), (alt.Stroke, "halo"), (alt.Size, "size"))
    lane, at = _lane(panel, plan), _time(plan, labels=last)
    colour = literal(alt.Color, "colour")
    waits, bars, shapes, words = (rows_of(rows).encode(at, lane) for rows in panel.marks)
    layers = [
        waits.mark_rule(color=WAITING.paint.light, strokeWidth=1.2).encode(x2="to:Q"),
        bars.mark_bar(height=plan.sizes.thick, cornerRadius=1.5).encode(colour, x2="to:Q"),
        shapes.mark_point(filled=True, opacity=1, strokeWidth=1).encode(
            *(literal(*channel) for channel in shape), colour
        ),
        words.mark_text(baseline="middle", fontSize=plan.sizes.letters or 1).encode(
            colour, text="word:N"
        ),
    ]
    if plan.deadline is not None:
        layers += _deadline(plan.deadline, plan, at)
    height = plan.sizes.step * len(panel.lanes)
    chart = alt.layer(*layers).properties(width=plan.scale.width, height=height)
    return chart.properties(title=_heading(panel.name)) if panel.name else chart


def _heading(name: str) -> Any:
    import altair as alt

    return alt.TitleParams(name, fontSize=12.5, color=TEXT.light, offset=8)


def _deadline(deadline: float, plan: Layout, at: Any) -> list[Any]:
    """Draw the deadline through all lanes, its words on the side that has more room."""
    import altair as alt

    pixel = plan.scale.pixel(deadline)
    row = {"at": plan.scale.shown(pixel), "word": f"deadline {duration(deadline)}"}
    right = pixel > plan.scale.width / 2
    rule = rows_of([row]).mark_rule(color=INK.light, strokeDash=[4, 3], strokeWidth=1.2)
    words = rows_of([row]).mark_text(
        align="right" if right else "left",
        baseline="bottom",
        color=INK.light,
        dx=3 if right else -3,
    )
    return [rule.encode(at), words.encode(at, y=alt.value(-4), text="word:N")]


def _time(plan: Layout, *, labels: bool) -> Any:
    import altair as alt

    scale = plan.scale
    axis = alt.Axis(
        title=f"time ({scale.unit})" if labels else None,
        labels=labels,
        grid=True,
        labelFlush=False,
        tickCount=max(3, round(scale.width / 90)),
    )
    ends = [scale.shown(0), scale.shown(scale.width)]
    return alt.X("at:Q", scale=alt.Scale(domain=ends, nice=False), axis=axis)


def _lane(panel: Panel, plan: Layout) -> Any:
    import altair as alt

    axis = alt.Axis(
        title=None,
        labelFontSize=min(11.5, plan.sizes.step - 2),
        labelLimit=150,
        labelOverlap=True,
        minExtent=plan.gutter,
        maxExtent=plan.gutter,
    )
    return alt.Y("lane:N", scale=alt.Scale(domain=panel.lanes, padding=0), axis=axis)

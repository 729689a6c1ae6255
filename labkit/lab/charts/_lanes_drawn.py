"""A laid-out request timeline as an Altair chart."""

from __future__ import annotations

from typing import Any

from labkit.lab.charts._lanes import Layout, Panel
from labkit.lab.charts._theme import GAP, INK, ON_BAR, PANEL, TEXT, WAITING
from labkit.lab.charts._words import duration

__all__ = ["drawn"]


def drawn(plan: Layout) -> Any:
    """Draw every panel of a timeline, above each other or side by side, under one legend."""
    import altair as alt

    last = len(plan.panels) - 1
    panels = [
        _panel(panel, plan, last=not plan.stacked or place == last)
        for place, panel in enumerate(plan.panels)
    ]
    if not last:
        return panels[0]
    joined = alt.vconcat(*panels) if plan.stacked else alt.hconcat(*panels)
    shared = joined.resolve_scale(color="shared", shape="shared")
    return shared.properties(spacing=GAP)


def _panel(panel: Panel, plan: Layout, *, last: bool) -> Any:
    """Draw one client's lanes; only the `last` of a column carries the time axis."""
    import altair as alt

    lane = _lane(panel, plan)
    start = _time("start", plan, labels=last)
    layers = [
        _rows(panel.waits)
        .mark_rule(color=WAITING.paint.light, strokeWidth=1.2)
        .encode(start, alt.X2("end:Q"), lane),
        _rows(panel.bars)
        .mark_bar(height=plan.step * 0.5, cornerRadius=1.5)
        .encode(start, alt.X2("end:Q"), lane, _colour(plan)),
        *_ends(panel, plan, lane),
        *_words(panel, plan, lane),
        *_deadline(plan),
    ]
    size = {"width": plan.scale.width, "height": plan.step * len(panel.lanes)}
    chart = alt.layer(*layers).properties(**size)
    return chart.properties(title=_heading(panel.name, plan)) if panel.name else chart


def _heading(name: str, plan: Layout) -> Any:
    import altair as alt

    offset = 8 if plan.deadline is None else 24
    return alt.TitleParams(name, fontSize=12.5, color=TEXT.light, offset=offset, frame="group")


def _ends(panel: Panel, plan: Layout, lane: Any) -> list[Any]:
    """Draw the shape of every ending: within its bar where it fits, else over the bar's end."""
    end = _time("end", plan)
    style: Any = {"filled": True, "opacity": 1, "size": (2 * plan.mark) ** 2}
    within = [row for row in panel.ends if row["within"]]
    alone = [row for row in panel.ends if not row["within"]]
    return [
        _rows(within)
        .mark_point(fill=ON_BAR.light, xOffset=-plan.mark - 2.5, **style)
        .encode(end, lane, _shape(plan)),
        _rows(alone)
        .mark_point(stroke=PANEL.light, strokeWidth=1, **style)
        .encode(end, lane, _colour(plan), _shape(plan)),
    ]


def _words(panel: Panel, plan: Layout, lane: Any) -> list[Any]:
    at = _time("at", plan)
    inside = [row for row in panel.words if row["inside"]]
    behind = [row for row in panel.words if not row["inside"]]
    style = {"fontSize": plan.letters, "baseline": "middle"}
    return [
        _rows(inside)
        .mark_text(align="center", color=ON_BAR.light, **style)
        .encode(at, lane, text="text:N"),
        _rows(behind)
        .mark_text(align="left", dx=plan.mark + 3, color=TEXT.light, **style)
        .encode(at, lane, text="text:N"),
    ]


def _deadline(plan: Layout) -> list[Any]:
    """Draw the deadline through all lanes, its words on the side that has more room."""
    import altair as alt

    if plan.deadline is None:
        return []
    row = {"at": plan.scale.shown(plan.deadline), "text": f"deadline {duration(plan.deadline)}"}
    at = _time("at", plan)
    late = plan.scale.pixels(plan.deadline - plan.scale.low) > plan.scale.width / 2
    side: Any = {"align": "right", "dx": 1} if late else {"align": "left", "dx": -1}
    top = alt.YValue(-6)
    return [
        _rows([row]).mark_rule(color=INK.light, strokeDash=[4, 3], strokeWidth=1.2).encode(at),
        _rows([row])
        .mark_text(baseline="bottom", color=INK.light, **side)
        .encode(at, top, text="text:N"),
    ]


def _rows(rows: list[dict[str, Any]]) -> Any:
    import altair as alt

    return alt.Chart(alt.InlineData(values=rows))


def _time(field: str, plan: Layout, *, labels: bool = True) -> Any:
    import altair as alt

    scale = plan.scale
    return alt.X(
        f"{field}:Q",
        scale=alt.Scale(domain=[scale.shown(scale.low), scale.shown(scale.high)], nice=False),
        axis=alt.Axis(
            title=f"time ({scale.unit})" if labels else None,
            labels=labels,
            grid=True,
            tickCount=max(3, round(scale.width / 90)),
        ),
    )


def _lane(panel: Panel, plan: Layout) -> Any:
    import altair as alt

    axis = alt.Axis(
        title=None,
        labelFontSize=min(11.5, plan.step - 2),
        labelLimit=150,
        labelOverlap=True,
        minExtent=plan.gutter,
        maxExtent=plan.gutter,
    )
    return alt.Y("lane:N", scale=alt.Scale(domain=panel.lanes, padding=0), axis=axis)


def _colour(plan: Layout) -> Any:
    import altair as alt

    looks = plan.looks
    scale = alt.Scale(domain=[x.words for x in looks], range=[x.paint.light for x in looks])
    return alt.Color("ended:N", scale=scale, legend=alt.Legend(title=None))


def _shape(plan: Layout) -> Any:
    import altair as alt

    looks = plan.looks
    scale = alt.Scale(domain=[x.words for x in looks], range=[x.shape for x in looks])
    return alt.Shape("ended:N", scale=scale, legend=alt.Legend(title=None))

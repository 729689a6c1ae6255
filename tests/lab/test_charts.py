"""Charts: the same bytes every time, legible on any page, told in words, honest or refused."""

from __future__ import annotations

import base64
import doctest
import html
import math
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.errors import UserError
from labkit.lab.charts import (
    Chart,
    _axes,
    _curve_words,
    _words,
    comparison,
    curve,
    scatter,
    states,
    timeline,
)
from labkit.lab.charts._curve_words import clearest, spread
from labkit.lab.charts._scatter_drawn import named
from labkit.lab.charts._theme import (
    AXIS,
    EDGE,
    GRID,
    INK,
    MUTED,
    ON_BAR,
    OUTCOMES,
    PAINTS,
    PANEL,
    SERIES,
    TEXT,
    WIDTH,
    Paint,
)

SVG = "{http://www.w3.org/2000/svg}"


def attempt(call: str | int, number: int, start: float, end: float, **more: Any) -> dict[str, Any]:
    """Make a row of a timeline."""
    row = {"call": call, "attempt": number, "start_s": start, "end_s": end}
    return row | {"outcome": "ok", "label": "200"} | more


def storm(calls: int, seed: int = 1, client: str | None = None) -> pd.DataFrame:
    """Invent calls that meet every kind of ending."""
    dice, rows = random.Random(seed), []
    for call in range(1, calls + 1):
        now = dice.uniform(0, 5)
        for number in range(1, 6):
            outcome, end = dice.choice(list(OUTCOMES)), now + dice.uniform(0, 3)
            told = {"outcome": outcome, "label": outcome[:3]}
            rows.append(attempt(call, number, now, end, **told))
            now = end + dice.uniform(0, 4)
    table = pd.DataFrame(rows)
    return table if client is None else table.assign(client=client)


def turns() -> pd.DataFrame:
    """Two ways to hold a conversation, and what each has cost after so many turns."""
    rows = [("everything", n, n * (n + 1) / 2) for n in range(1, 21)]
    rows += [("window", n, 4.0 * n) for n in range(1, 21)]
    return pd.DataFrame(rows, columns=["way", "turn", "cost"])


def draw_turns(**more: Any) -> Chart:
    """Draw the conversation costs, with other arguments where given."""
    told = {"series": "way", "x_title": "turn", "y_title": "cost ($)", "title": "Cost"} | more
    return curve(turns(), "turn", "cost", **told)


def draw_shares(**more: Any) -> Chart:
    """Draw a comparison of three strategies, with other arguments where given."""
    shares = pd.DataFrame({"way": ["none", "fixed", "jitter"], "share": [61.0, 83.0, 99.4]})
    told = {"title": "Answered in time", "unit": "%"} | more
    return comparison(shares, "way", "share", **told)


CHOICES = [("fast", 0.4, 71.0), ("dear", 9.0, 80.0), ("strong", 9.0, 88.0), ("slow", 2.0, 60.0)]


def draw_choices(rows: list[tuple[str, float, float]] = CHOICES, **more: Any) -> Chart:
    """Draw what each choice costs and how often it is right."""
    told = {"name": "way", "x_title": "$", "y_title": "right (%)", "title": "Choices"} | more
    return scatter(pd.DataFrame(rows, columns=["way", "cost", "right"]), "cost", "right", **told)


CHANGES = [("shut", "it is pushed", "ajar"), ("ajar", "it is pulled", "shut")]
DOOR = [*CHANGES, ("ajar", "it is pushed", "wide"), ("any", "somebody calls", "wide")]


def draw_door(rows: list[tuple[str, str, str]] = DOOR, **more: Any) -> Chart:
    """Draw the states of a door."""
    table = pd.DataFrame(rows, columns=["state", "event", "then"])
    return states(table, "state", "event", "then", title="A door", **more)


DRAWINGS: dict[str, Callable[[], Chart]] = {
    "one call": lambda: timeline(pd.DataFrame([attempt("ask", 1, 0, 0.1)]), title="One"),
    "timeline": lambda: timeline(storm(12), title="Twelve calls", deadline=20),
    "clients": lambda: timeline(
        pd.concat([storm(30, client="naive"), storm(30, 2, "fixed")]), title="Both", deadline=9
    ),
    "sixty calls": lambda: timeline(storm(60), title="Sixty calls"),
    "curve": lambda: draw_turns(marker=(7, 28.0, "here they meet")),
    "log curve": lambda: draw_turns(log_y=True, marker=(7, "here")),
    "comparison": lambda: draw_shares(reference=(99, "goal")),
    "scatter": draw_choices,
    "log scatter": lambda: draw_choices(log_x=True),
    "states": lambda: draw_door(now="ajar"),
}
drawings = pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)


def elements(chart: Chart) -> Iterator[ElementTree.Element]:
    """Walk through the drawing."""
    return ElementTree.fromstring(chart.svg).iter()  # noqa: S314


def texts(chart: Chart) -> list[str]:
    """List everything written in the drawing."""
    return [element.text or "" for element in elements(chart) if element.tag == f"{SVG}text"]


def luminance(colour: str) -> float:
    """Compute a colour's relative luminance (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Compute the contrast ratio of two colours (WCAG 2.2)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


# What every chart is


@drawings
def test_a_chart_drawn_again_is_the_same_bytes(draw: Callable[[], Chart]) -> None:
    """Stored outputs must not change because a cell was run once more."""
    assert draw().svg == draw().svg


def test_a_chart_is_the_same_bytes_in_another_process() -> None:
    """Nothing of a process, such as a counter or the order of a set, gets into the picture."""
    code = (
        "import pandas as pd; from labkit.lab.charts import comparison; "
        "t = pd.DataFrame({'k': ['a', 'b'], 'v': [1.0, 2.0]}); "
        "c = comparison(t, 'k', 'v', title='T', unit='s'); print(c.svg, end='')"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    table = pd.DataFrame({"k": ["a", "b"], "v": [1.0, 2.0]})
    here = comparison(table, "k", "v", title="T", unit="s").svg
    assert runs == [here.encode(), here.encode()]


@drawings
def test_a_chart_needs_nothing_that_web_sites_strip(draw: Callable[[], Chart]) -> None:
    """No ids, no references, no style attributes: the picture survives being put into a page."""
    for element in elements(draw()):
        assert element.tag.startswith(SVG)
        assert not {"id", "style", "clip-path", "href"} & element.attrib.keys()
        assert "url(" not in "".join(element.attrib.values())


@drawings
def test_every_chart_is_as_wide_as_the_others(draw: Callable[[], Chart]) -> None:
    """Charts of a lesson line up."""
    root = next(elements(draw()))
    assert (root.get("width"), root.get("viewBox")) == (
        f"{WIDTH}",
        f"0 0 {WIDTH} {root.get('height')}",
    )


@drawings
def test_text_stays_text_in_faces_that_every_system_has(draw: Callable[[], Chart]) -> None:
    """Words can be selected, and a browser without the first face has one just as wide."""
    chart = draw()
    assert next(elements(chart)).get("font-family") == (
        "Liberation Sans, Arial, Helvetica, sans-serif"
    )
    assert len(texts(chart)) > 2
    assert chart.svg.count("font-family") == 1


@drawings
def test_the_picture_says_its_alt_text(draw: Callable[[], Chart]) -> None:
    """Whoever cannot see the picture hears what it shows, in every form it is offered."""
    chart = draw()
    root = next(elements(chart))
    assert (root.get("role"), root.get("aria-label")) == ("img", chart.alt)
    bundle = chart._repr_mimebundle_()
    assert bundle["text/plain"] == chart.alt
    assert f'<img alt="{html.escape(chart.alt)}" src=' in bundle["text/html"]


def test_a_notebook_is_offered_image_svg_and_words() -> None:
    """The image element holds the very same drawing."""
    chart = draw_shares()
    bundle = chart._repr_mimebundle_()
    assert list(bundle) == ["text/html", "image/svg+xml", "text/plain"]
    assert bundle["image/svg+xml"] == chart.svg
    encoded = bundle["text/html"].partition("base64,")[2].partition('"')[0]
    assert base64.b64decode(encoded).decode() == chart.svg
    assert list(chart._repr_mimebundle_(include=["text/plain"])) == ["text/plain"]
    assert "text/html" not in chart._repr_mimebundle_(exclude=["text/html"])


def test_a_chart_cannot_be_changed() -> None:
    """A shown picture keeps its words and figures, whatever happens to the table."""
    table = pd.DataFrame({"k": ["a"], "v": [1.0]})
    chart = comparison(table, "k", "v", title="T", unit="s")
    table.loc[0, "v"] = 2.0
    assert chart.figures["v"].tolist() == [1.0]
    with pytest.raises(AttributeError):
        chart.alt = "other"  # type: ignore[misc]


def test_words_with_markup_are_only_words() -> None:
    """Titles, names and alt texts may hold any character."""
    odd = '<b>"R&D"</b>'
    table = pd.DataFrame({"k": [odd], "v": [1.0]})
    chart = comparison(table, "k", "v", title=odd, unit="s", alt=odd)
    assert [odd] * 2 == [text for text in texts(chart) if "R&D" in text]
    assert next(elements(chart)).get("aria-label") == odd


# Legible on light and dark pages


@pytest.mark.parametrize("page", ["light", "dark"])
def test_everything_written_reads_at_ratio_4_5_or_more(page: str) -> None:
    """WCAG's measure for text, on the panel and on bars, in both themes."""
    panel = getattr(PANEL, page)
    inks = [INK, TEXT, MUTED, *(line.paint for line in SERIES)]
    assert min(contrast(getattr(ink, page), panel) for ink in inks) >= 4.5
    bars = [look.paint for look in OUTCOMES.values()]
    assert min(contrast(getattr(bar, page), getattr(ON_BAR, page)) for bar in bars) >= 4.5
    assert min(contrast(getattr(bar, page), panel) for bar in bars) >= 4.5


def test_grid_and_frame_stay_in_the_background() -> None:
    """Lines that only help the eye are fainter than anything that tells something."""
    for page in ("light", "dark"):
        panel = getattr(PANEL, page)
        assert all(contrast(getattr(paint, page), panel) < 3 for paint in (GRID, AXIS, EDGE))


@drawings
def test_a_dark_page_gets_a_dark_twin_of_every_colour(draw: Callable[[], Chart]) -> None:
    """No colour is left behind when the page is dark, and every colour is the theme's."""
    chart = draw()
    twins = {paint.light: paint.dark for paint in PAINTS}
    rules = next(element.text for element in elements(chart) if element.tag == f"{SVG}style")
    assert rules is not None
    assert rules.startswith("@media (prefers-color-scheme:dark)")
    used = {
        (part, value)
        for element in elements(chart)
        for part in ("fill", "stroke")
        if (value := element.get(part)) not in (None, "none", "transparent")
    }
    assert used
    for part, colour in used:
        assert f'[{part}="{colour}"]{{{part}:{twins[str(colour)]}}}' in rules


def test_a_light_colour_means_one_role() -> None:
    """The dark rules go by the light colour, so two roles must not share one."""
    assert len({paint.light for paint in PAINTS}) == len(PAINTS)
    assert all(isinstance(paint, Paint) for paint in PAINTS)


def test_endings_and_lines_differ_in_more_than_colour() -> None:
    """Shapes and dashes tell those apart who see no colours."""
    assert len({look.shape for look in OUTCOMES.values()}) == len(OUTCOMES)
    assert len({line.dash for line in SERIES}) == len(SERIES)


# The timeline


def test_a_timeline_writes_lanes_statuses_and_the_deadline() -> None:
    """Who reads the picture finds the calls, how attempts ended, and where patience ends."""
    rows = [
        attempt("ask", 1, 0, 2, outcome="error", label="529"),
        attempt("ask", 2, 5, 8),
        attempt(7, 1, 1, 4, outcome="unreachable", label="timeout"),
    ]
    chart = timeline(pd.DataFrame(rows), title="Two calls", deadline=6)
    written = texts(chart)
    for word in ("Two calls", "ask", "call 7", "529", "200", "timeout", "deadline 6 s"):
        assert word in written
    key = {look.words for look in OUTCOMES.values()} | {"waiting"}
    assert [word for word in written if word in key] == [
        *("ok", "API error", "unreachable", "waiting")
    ]


def test_a_timeline_keeps_clients_and_lanes_in_the_order_of_the_table() -> None:
    """The author decides what comes first."""
    rows = [attempt(name, 1, 0, 1, client=client) for client in ("slow", "fast") for name in "ba"]
    written = texts(timeline(pd.DataFrame(rows), title="Order"))
    names = [word for word in written if word in ("a", "b", "slow", "fast")]
    assert names == ["b", "a", "slow", "b", "a", "fast"]


@pytest.mark.parametrize(
    ("length", "unit"), [(0.1, "ms"), (12.0, "s"), (1800.0, "min"), (90_000.0, "h")]
)
def test_a_timeline_chooses_the_unit_of_its_axis(length: float, unit: str) -> None:
    """From a tenth of a second to days."""
    chart = timeline(pd.DataFrame([attempt(1, 1, 0, length)]), title="Length")
    assert f"time ({unit})" in texts(chart)


def test_a_status_without_room_is_left_to_the_shape() -> None:
    """A hundred lanes carry no words, and none of a hundred endings is lost."""
    rows = [attempt(call, 1, call, call + 0.5, label="200") for call in range(100)]
    chart = timeline(pd.DataFrame(rows), title="Many")
    assert "200" not in texts(chart)
    ok = OUTCOMES["ok"].paint.light
    drawn = [
        element for element in elements(chart) if ok in (element.get("fill"), element.get("stroke"))
    ]
    assert len(drawn) >= 100


def test_a_word_never_runs_into_the_next_attempt() -> None:
    """A status that fits neither its bar nor the wait after it is not written."""
    rows = [attempt(1, 1, 0, 0.1, label="529"), attempt(1, 2, 0.2, 9, label="200")]
    chart = timeline(pd.DataFrame(rows), title="Hasty")
    assert [word for word in texts(chart) if word in ("529", "200")] == ["200"]


def test_an_attempt_of_no_length_is_still_seen() -> None:
    """What we refuse ourselves takes no time, and is the lesson's point."""
    rows = [attempt(1, 1, 3, 3, outcome="refused", label="")]
    chart = timeline(pd.DataFrame(rows), title="Refused")
    slate = OUTCOMES["refused"].paint.light
    assert sum(element.get("fill") == slate for element in elements(chart)) == 2  # and in the key


def test_a_timeline_is_told_in_words() -> None:
    """Calls, attempts, how they ended, the longest, and who came too late."""
    rows = [
        attempt("a", 1, 0, 1, outcome="error", label="529"),
        attempt("a", 2, 4, 6),
        attempt("b", 1, 0, 1, outcome="rate_limited", label="429"),
    ]
    assert timeline(pd.DataFrame(rows), title="T", deadline=5).alt == (
        "Request timeline over 6 s. 2 calls, 3 attempts: 1 ends ok and 1 ends rate limited; "
        "the longest, a, takes 6 s. 1 call of 2 ends after the deadline at 5 s."
    )


def test_clients_are_told_apart_in_words() -> None:
    """Side by side for the ear as for the eye."""
    rows = [attempt(1, 1, 0, 1, client="naive", outcome="error"), attempt(1, 1, 0, 2, client="new")]
    assert timeline(pd.DataFrame(rows), title="T", deadline=5).alt == (
        "Request timeline over 2 s. Naive: 1 call, 1 attempt: 1 ends in an API error; "
        "it takes 1 s; new: 1 call, 1 attempt: 1 ends ok; it takes 2 s. "
        "No call ends after the deadline at 5 s."
    )


@given(
    st.lists(
        st.tuples(
            st.integers(1, 5),
            st.floats(0, 1e5, allow_subnormal=False),
            st.floats(0, 1e4, allow_subnormal=False),
            st.sampled_from(list(OUTCOMES)),
            st.sampled_from(["", "529", "timeout", None]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.none() | st.floats(0, 1e5),
)
@settings(deadline=None, max_examples=15)
def test_any_attempts_can_be_drawn(rows: list[Any], deadline: float | None) -> None:
    """Overlaps, touching attempts, nothing but moments: a picture without broken numbers."""
    table = pd.DataFrame(
        [
            attempt(call, number, start, start + length, outcome=outcome, label=label)
            for number, (call, start, length, outcome, label) in enumerate(rows)
        ]
    )
    chart = timeline(table, title="Anything", deadline=deadline)
    assert not re.search(r"NaN|Infinity|undefined|null", chart.svg)
    assert len(chart.figures) == len(rows)


# Curves


def test_a_curve_names_its_lines_at_their_ends() -> None:
    """No key to look up: a name stands where its line ends, in its line's colour."""
    chart = draw_turns()
    named = {
        element.text: element.get("fill")
        for element in elements(chart)
        if element.tag == f"{SVG}text" and element.get("font-weight") == "bold"
    }
    assert named == {
        "Cost": INK.light,
        "everything": SERIES[0].paint.light,
        "window": SERIES[1].paint.light,
    }


def test_a_curve_is_told_in_words() -> None:
    """Where it starts, where it ends, and where it turns."""
    table = pd.DataFrame({"n": [1, 2, 3], "lat": [5.0, 2.0, 3.0]})
    chart = curve(table, "n", "lat", x_title="calls", y_title="latency (s)", title="T")
    assert chart.alt == (
        "Line chart of latency (s) over calls: it falls from 5 at 1 to 3 at 3 (lowest 2 at 2)."
    )


def test_a_line_of_one_point_is_told_as_a_point() -> None:
    """One figure has no course."""
    chart = curve(pd.DataFrame({"x": [2], "y": [5]}), "x", "y", x_title="n", y_title="s", title="T")
    assert chart.alt == "Line chart of s over n: it is 5 at 2."


def test_many_curves_are_told_by_their_ends() -> None:
    """Eight courses in words would be noise."""
    rows = [(f"way {n}", x, n * x) for n in range(8) for x in (1, 2)]
    table = pd.DataFrame(rows, columns=["way", "x", "y"])
    chart = curve(table, "x", "y", series="way", x_title="x", y_title="y", title="T")
    assert chart.alt == (
        "Line chart of y over x, 8 lines: "
        "at their ends, way 0 (0) is lowest and way 7 (14) highest."
    )


def test_a_marker_is_drawn_and_told() -> None:
    """What the lesson points at is in the picture and in its words."""
    for marker in ((7, "even"), (7, 28.0, "even")):
        chart = draw_turns(marker=marker)
        assert "even" in texts(chart)
        assert chart.alt.endswith("Marked at 7: even.")


def test_rows_may_come_in_any_order_and_gaps_are_left_out() -> None:
    """A curve runs from left to right through the figures there are."""
    table = pd.DataFrame({"x": [3.0, 1.0, math.nan, 2.0], "y": [9.0, 1.0, 5.0, math.nan]})
    chart = curve(table, "x", "y", x_title="x", y_title="y", title="T")
    assert chart.figures.to_dict("list") == {"x": [3.0, 1.0], "y": [9.0, 1.0]}
    assert "rises from 1 at 1 to 9 at 3" in chart.alt


@given(st.lists(st.floats(0, 280), min_size=1, max_size=8))
def test_names_never_touch_and_never_leave_the_chart(heights: list[float]) -> None:
    """Lines that end together still have names to read, in the order of the lines."""
    placed = spread(heights, apart=15, top=280)
    order = sorted(range(len(heights)), key=lambda n: heights[n])
    ladder = [placed[n] for n in order]
    assert all(b - a >= 15 - 1e-6 for a, b in pairwise(ladder))
    assert ladder[0] >= -1e-6
    assert ladder[-1] <= 280 + 1e-6


def test_names_with_room_stay_at_their_lines() -> None:
    """Nothing moves without need."""
    assert spread([10, 100, 50], apart=15, top=280) == [10, 100, 50]


def test_a_remark_avoids_the_lines() -> None:
    """Beside a rising line the free room is above to the left."""
    told: dict[str, Any]
    rising, falling = [[(0.0, 0.0), (200.0, 200.0)]], [[(0.0, 200.0), (200.0, 0.0)]]
    told = {"size": (60.0, 14.0), "chart": (200.0, 200.0), "aside": (10.0, 16.0)}
    assert clearest((100.0, 100.0), lines=rising, **told) == (-1, 1)
    assert clearest((100.0, 100.0), lines=falling, **told) == (1, 1)
    assert clearest((195.0, 195.0), lines=[], **told) == (-1, -1)


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12))
def test_a_linear_axis_covers_its_figures_and_zero(one: float, other: float) -> None:
    """From a first to a last round number, in an even handful of steps."""
    low, high = sorted((one, other))
    axis = _axes.linear(low, high)
    slack = 1e-6 * (abs(low) + abs(high))
    assert axis.ticks[0] - slack <= min(low, 0)
    assert max(high, 0) <= axis.ticks[-1] + slack
    assert 2 <= len(axis.ticks) <= 9
    assert len(set(axis.words())) == len(axis.ticks)


@given(st.floats(1e-9, 1e12), st.floats(1, 1e9))
def test_a_logarithmic_axis_covers_its_figures(low: float, factor: float) -> None:
    """From a first to a last round number, few enough to read."""
    axis = _axes.logarithmic(low, low * factor)
    assert axis.ticks[0] <= low * 1.01
    assert axis.ticks[-1] >= low * factor * 0.99
    assert 2 <= len(axis.ticks) <= 10
    assert len(set(axis.words())) == len(axis.ticks)


# Comparisons


def test_bars_carry_their_figures() -> None:
    """What is compared can be read off without an axis."""
    written = texts(draw_shares(reference=(99, "goal")))
    assert {"none", "fixed", "jitter", "61%", "83%", "99.4%", "goal 99%"} <= set(written)


def test_a_missing_figure_is_unknown_and_not_zero() -> None:
    """Nobody may take a gap for a nought."""
    table = pd.DataFrame({"k": ["a", "b", "c"], "v": [0.0, math.nan, -4.0]})
    chart = comparison(table, "k", "v", title="T", unit="$")
    assert {"$0", "unknown", "-$4.00"} <= set(texts(chart))
    assert chart.alt == "Bar chart, T: a $0; b unknown; c -$4.00."


def test_bars_stand_in_the_order_of_the_table() -> None:
    """The author decides what comes first, within a category too."""
    rows = [("b", "y", 4.0), ("b", "x", 3.0), ("a", "y", 2.0), ("a", "x", 1.0)]
    table = pd.DataFrame(rows, columns=["k", "w", "v"])
    chart = comparison(table, "k", "v", series="w", title="T", unit="s")
    heights = {
        text: float(element.get("transform", "").partition(",")[2].rstrip(")"))
        for element in elements(chart)
        if (text := element.text or "") in ("4 s", "3 s", "2 s", "1 s", "a", "b")
    }
    assert sorted(heights, key=lambda text: heights[text]) == [
        *("4 s", "b", "3 s"),
        *("2 s", "a", "1 s"),
    ]


def test_bars_are_as_long_as_their_figures() -> None:
    """A bar of twice the value is twice as long."""
    table = pd.DataFrame({"k": ["a", "b"], "v": [20.0, 40.0]})
    chart = comparison(table, "k", "v", title="T", unit="s")
    blue = SERIES[0].paint.light
    paths = [element.get("d", "") for element in elements(chart) if element.get("fill") == blue]
    lengths = [float(path.partition("h")[2].partition("v")[0]) for path in paths]
    assert lengths[1] == pytest.approx(2 * lengths[0], abs=0.02)


def test_series_stand_together_in_their_category_and_are_named() -> None:
    """Each bar says whose it is."""
    rows = [("fast", "single", 2.0), ("strong", "single", 8.0), ("fast", "batch", 1.0)]
    table = pd.DataFrame(rows, columns=["model", "way", "cost"])
    chart = comparison(table, "model", "cost", series="way", title="Cost", unit="$")
    assert chart.alt == (
        "Bar chart, Cost: fast: single $2.00 and batch $1.00; strong: single $8.00."
    )
    written = texts(chart)
    assert (written.count("single"), written.count("batch"), written.count("fast")) == (2, 1, 1)


def test_many_bars_are_told_by_their_extremes() -> None:
    """Twenty figures in words would be noise."""
    table = pd.DataFrame({"k": [f"k{n}" for n in range(20)], "v": range(20)})
    chart = comparison(table, "k", "v", title="T", unit="s", reference=5)
    assert chart.alt == (
        "Bar chart of 20 figures, T: from k0 with 0 s to k19 with 19 s. "
        "The line at 5 s is the reference."
    )


# What cannot be drawn


ONE = pd.DataFrame({"k": ["a"], "v": [1.0]})


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ([1, 2], "a pandas DataFrame, and this is a list"),
        (pd.DataFrame({"k": [], "v": []}), "the table has no rows"),
        (pd.DataFrame({"k": ["a"]}), "no column 'v'; it has k"),
        (pd.DataFrame({"k": ["a"], "v": [math.nan]}), "'v' holds no number in any row"),
        (pd.DataFrame({"k": ["a"], "v": ["1"]}), "'v' must hold numbers, and it holds"),
        (pd.DataFrame({"k": ["a"], "v": [True]}), "'v' must hold numbers, and it holds bool"),
        (pd.DataFrame({"k": ["a"], "v": [math.inf]}), "'v' holds an infinite number"),
        (pd.DataFrame({"k": ["a", "a"], "v": [1, 2]}), "Two rows are named 'a'"),
        (pd.DataFrame({"k": range(61), "v": range(61)}), "at most 60 bars, and this has 61"),
    ],
)
def test_a_table_that_cannot_be_compared_is_refused(table: Any, reason: str) -> None:
    """One sentence says what is wrong with the table."""
    with pytest.raises(UserError, match=re.escape(reason)):
        comparison(table, "k", "v", title="T", unit="s")


def test_more_series_than_colours_are_refused() -> None:
    """Nine colours nobody can tell apart."""
    table = pd.DataFrame({"k": ["a"] * 9, "w": range(9), "v": range(9)})
    with pytest.raises(UserError, match="tells 8 series apart; this has 9"):
        comparison(table, "k", "v", series="w", title="T", unit="s")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"end_s": -1.0}, "An attempt of call 1 ends before it starts"),
        ({"start_s": math.nan}, "needs its call, number, start and end"),
        ({"outcome": "sleepy"}, "holds 'sleepy'; it may hold ok, error, rate_limited"),
    ],
)
def test_an_impossible_attempt_is_refused(change: dict[str, Any], reason: str) -> None:
    """One sentence says what is wrong with it."""
    table = pd.DataFrame([attempt(1, 1, 0, 1), attempt(1, 2, 2, 3) | change])
    with pytest.raises(UserError, match=re.escape(reason)):
        timeline(table, title="T")


def test_a_timeline_of_too_many_calls_is_refused() -> None:
    """What nobody could read is not drawn."""
    table = pd.DataFrame([attempt(call, 1, 0, 1) for call in range(121)])
    with pytest.raises(UserError, match="at most 120 calls and this table has 121"):
        timeline(table, title="T")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"title": " "}, "A chart needs a title in words"),
        ({"alt": ""}, "A chart needs its alt text in words"),
        ({"y_title": ""}, "A chart needs a y title in words"),
        ({"marker": ("7", "x")}, "A chart needs its marker's x as a number"),
        ({"marker": (7,)}, "A marker is (x, words) or (x, y, words)"),
        ({"marker": (7, "")}, "A chart needs its marker in words"),
        ({"log_y": True, "marker": (7, 0.0, "x")}, "needs figures above zero, and one is 0"),
    ],
)
def test_a_curve_badly_asked_for_is_refused(told: dict[str, Any], reason: str) -> None:
    """One sentence says what is wrong with the question."""
    with pytest.raises(UserError, match=re.escape(reason)):
        draw_turns(**told)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(f"way {n}", 1.0, 1.0) for n in range(9)], "8 lines apart, and this table has 9"),
        ([("a", float(n), 1.0) for n in range(5001)], "at most 5,000 rows, and there are 5,001"),
        ([("a", 1.0, math.nan), ("a", math.nan, 1.0)], "no row holds all of its figures"),
    ],
)
def test_too_many_or_no_curves_are_refused(rows: list[Any], reason: str) -> None:
    """One sentence says what would have to change."""
    table = pd.DataFrame(rows, columns=["way", "x", "y"])
    with pytest.raises(UserError, match=re.escape(reason)):
        curve(table, "x", "y", series="way", x_title="x", y_title="y", title="T")


@pytest.mark.parametrize("reference", [math.nan, "99", (1, 2, 3), (99, "")])
def test_a_reference_that_is_none_is_refused(reference: Any) -> None:
    """A line to measure against is a number, with words or without."""
    with pytest.raises(UserError, match="reference"):
        comparison(ONE, "k", "v", title="T", unit="s", reference=reference)


def test_a_deadline_that_is_no_number_is_refused() -> None:
    """A deadline is a point in time."""
    with pytest.raises(UserError, match="its deadline as a number"):
        timeline(storm(1), title="T", deadline=math.inf)


# Words


@given(st.floats(-1e15, 1e15, allow_subnormal=False))
def test_an_amount_in_words_is_right_to_half_a_percent(value: float) -> None:
    """Rounding helps the reader and never misleads."""
    words = _words.amount(value)
    number, _, scale = words.replace(",", "").partition(" ")
    said = float(number) * {"": 1.0, "million": 1e6, "billion": 1e9}[scale]
    assert said == pytest.approx(value, rel=0.0051, abs=1e-300)


@pytest.mark.parametrize("module", [_axes, _curve_words, _words])
def test_examples_in_docstrings_hold(module: Any) -> None:
    """What the documentation shows is what the code does."""
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


# What a scatter shows


def test_the_best_are_told_and_joined() -> None:
    """A choice that costs more and is no better, or as much and is worse, is not among them."""
    chart = draw_choices()
    assert chart.alt == (
        "Scatter chart of right (%) against $. Best: fast (0.4, 71) and strong (9, 88); "
        "2 of 4 are beaten in both."
    )
    assert {"fast", "dear", "strong", "slow"} <= set(texts(chart))


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=12))
def test_nobody_on_the_front_is_beaten(points: list[tuple[float, float]]) -> None:
    """And whoever is beaten is beaten by somebody on it."""
    from labkit.lab.charts._scatter import _with_front

    dots = _with_front([(str(n), x, y) for n, (x, y) in enumerate(points)])
    front = [dot for dot in dots if dot.front]
    assert front
    for dot in dots:
        beaten = [a for a in front if a.x <= dot.x and a.y >= dot.y and a[1:3] != dot[1:3]]
        assert dot.front == (not beaten)


def test_names_keep_clear_of_dots_and_of_each_other() -> None:
    """Two dots close together carry their names on different sides."""
    one, other = named([(100.0, 100.0), (104.0, 101.0)], [60.0, 60.0], 600.0)
    assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@pytest.mark.parametrize(
    ("rows", "told", "reason"),
    [
        ([("a", 0.0, 1.0)], {"log_x": True}, "above zero"),
        ([(str(n), 1.0, 1.0) for n in range(41)], {}, "1 to 40 dots"),
        ([("a", math.inf, 1.0)], {}, "infinite"),
    ],
)
def test_a_scatter_that_cannot_be_drawn_is_refused(
    rows: list[tuple[str, float, float]], told: dict[str, Any], reason: str
) -> None:
    """In one sentence."""
    with pytest.raises(UserError, match=reason):
        draw_choices(rows, **told)


# What a state diagram shows


def test_every_state_and_every_event_is_written() -> None:
    """Boxes, arrows and what holds in any state."""
    written = " ".join(texts(draw_door()))
    for word in ("shut", "ajar", "wide", "it is pushed", "it is pulled", "From any state"):
        assert word in written


def test_a_state_diagram_is_told_in_words() -> None:
    """Every change, what holds anywhere, and where it stands."""
    assert draw_door(now="ajar").alt == (
        "State diagram: shut to ajar when it is pushed; ajar to shut when it is pulled; "
        "ajar to wide when it is pushed. From any state: somebody calls: wide. Now: ajar."
    )


@pytest.mark.parametrize(
    ("rows", "told", "reason"),
    [
        ([("a", "x", "a")], {}, "two to four states"),
        ([(str(n), "x", str(n + 1)) for n in range(5)], {}, "two to four states"),
        (CHANGES, {"now": "gone"}, "no state 'gone'"),
    ],
)
def test_states_that_cannot_be_drawn_are_refused(
    rows: list[tuple[str, str, str]], told: dict[str, Any], reason: str
) -> None:
    """In one sentence."""
    with pytest.raises(UserError, match=reason):
        draw_door(rows, **told)

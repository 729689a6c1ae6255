"""What a server shows of itself: a page of the latest requests, and counts for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from labkit.sim.scenario import Scenario
from labkit.sim.server_log import Entry, RequestLog

__all__ = ["PROMETHEUS", "log_page", "metrics_text"]

PROMETHEUS = "text/plain; version=0.0.4"
"""The media type of the text format that Prometheus reads."""

STYLE = """
:root { color-scheme: light dark; --line: #8886; --quiet: light-dark(#57606a, #9da7b3);
  --bad: light-dark(#b42318, #ff8a80); --wait: light-dark(#8a5a00, #f2c063); }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; max-width: 72rem; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } p { margin: .25rem 0; max-width: 48rem; }
.quiet { color: var(--quiet); } code { font-family: ui-monospace, monospace; font-size: .9em; }
.scroll { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: .5rem 0; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); }
th, td { white-space: nowrap; } td code { white-space: normal; overflow-wrap: anywhere; }
th { font-weight: 600; } td.number, th.number { text-align: right; }
.bad { color: var(--bad); font-weight: 600; } .wait { color: var(--wait); font-weight: 600; }
"""
COLUMNS = (
    *(("at (s)", True), ("request", False), ("model", False), ("status", False)),
    *(("fault", False), ("tokens in", True), ("out", True), ("length (s)", True), ("", False)),
)
"""The table's columns: heading, and whether it holds numbers."""


def log_page(log: RequestLog, scenario: Scenario, base_url: str, now: float) -> str:
    """Return the HTML page of the latest requests, the newest first."""
    head = "".join(f'<th scope="col"{_class(number)}>{name}</th>' for name, number in COLUMNS)
    rows = "".join(_row(entry) for entry in reversed(log.latest))
    about = f"<p>{escape(scenario.about)}</p>" if scenario.about else ""
    speed = f"{scenario.speed:g} times real time" if scenario.speed else "nothing waits"
    tier = f"tier {scenario.tier}" if scenario.tier else "no rate limits"
    total = sum(log.requests.values())
    shown = "No request yet." if not total else f"The last {len(log.latest)} of {total} requests."
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,"><title>Simulated Claude API</title>'
        f"<style>{STYLE}</style></head><body><main><h1>Simulated Claude API</h1>"
        "<p>Everything here is simulated: no model answers, nothing is billed, any key will do."
        f"</p>{about}<p>Base URL for any client: <code>{escape(base_url)}</code></p>"
        f'<p class="quiet">Seed {scenario.seed}, {escape(tier)}, {speed}; {now:.1f} seconds in; '
        f'{log.under_way} answers under way. <a href="/">Refresh</a>, <a href="/metrics">metrics'
        f'</a>.</p><div class="scroll"><table><caption>{shown}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></main></body></html>\n"
    )


def _class(number: bool) -> str:
    return ' class="number"' if number else ""


def _row(entry: Entry) -> str:
    kind = "bad" if entry.status >= 500 or not entry.status else "wait"
    mark = "" if 200 <= entry.status < 400 else f' class="{kind}"'
    end = "client left" if entry.client_left else ""
    has_tokens = entry.input_tokens or entry.output_tokens
    cells = (
        (f"{entry.at:.3f}", True),
        (f"<code>{escape(f'{entry.method} {entry.target}')}</code>", False),
        (escape(entry.model), False),
        (f"<span{mark}>{entry.status or 'no reply'}</span>", False),
        (escape(entry.fault), False),
        (f"{entry.input_tokens:,}" if has_tokens else "", True),
        (f"{entry.output_tokens:,}" if has_tokens else "", True),
        (f"{entry.duration_s:.3f}", True),
        (end, False),
    )
    return "<tr>" + "".join(f"<td{_class(n)}>{text}</td>" for text, n in cells) + "</tr>"


def metrics_text(log: RequestLog, now: float) -> str:
    """Return the counts in the text format of Prometheus."""
    requests = {
        f'endpoint="{endpoint}",status="{status or "none"}"': count
        for (endpoint, status), count in log.requests.items()
    }
    return "".join(
        [
            _counter("requests", "Requests by endpoint and status (none: no reply).", requests),
            _counter("tokens", "Tokens of messages by kind.", _by("kind", log.tokens)),
            _counter("refusals", "Requests over a rate limit.", _by("limit", log.refusals)),
            _counter("faults", "Faults struck, by kind.", _by("kind", log.faults)),
            _gauge("answers_under_way", "Replies that are being played.", log.under_way),
            _gauge("virtual_seconds", "The simulated clock.", round(now, 3)),
        ]
    )


def _by(label: str, counts: Mapping[str, int]) -> dict[str, int]:
    return {f'{label}="{name}"': count for name, count in counts.items()}


def _counter(name: str, text: str, counts: Mapping[str, int]) -> str:
    lines = (f"labkit_{name}_total{{{labels}}} {n}" for labels, n in sorted(counts.items()))
    return _family(f"labkit_{name}_total", "counter", text, lines)


def _gauge(name: str, text: str, value: float) -> str:
    return _family(f"labkit_{name}", "gauge", text, [f"labkit_{name} {value}"])


def _family(name: str, kind: str, text: str, lines: Iterable[str]) -> str:
    return "\n".join([f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines, ""])

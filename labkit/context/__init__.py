"""Conversations that stay affordable: token estimates, trimming at the right price, archives.

Each name is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.context.archive import Archive
    from labkit.context.billing import Bill, Plan, SummaryPlan, bill
    from labkit.context.calibration import Calibration
    from labkit.context.estimates import estimate_request, exact_tokens
    from labkit.context.forecasting import Forecast, Size, forecast
    from labkit.context.policies import (
        Blocks,
        Limit,
        PriceAware,
        SlidingWindow,
        TokenBudget,
    )
    from labkit.context.policy import Goal, Policy
    from labkit.context.sessions import Session
    from labkit.context.summaries import Rolling
    from labkit.context.summarising import async_writer, fit, fit_async, writer
    from labkit.context.summary_tree import Tree
    from labkit.context.window import Trimmed, Window

HOMES = {
    "Archive": "labkit.context.archive",
    "Bill": "labkit.context.billing",
    "Blocks": "labkit.context.policies",
    "Calibration": "labkit.context.calibration",
    "Forecast": "labkit.context.forecasting",
    "Goal": "labkit.context.policy",
    "Limit": "labkit.context.policies",
    "Plan": "labkit.context.billing",
    "Policy": "labkit.context.policy",
    "PriceAware": "labkit.context.policies",
    "Rolling": "labkit.context.summaries",
    "Session": "labkit.context.sessions",
    "Size": "labkit.context.forecasting",
    "SlidingWindow": "labkit.context.policies",
    "SummaryPlan": "labkit.context.billing",
    "TokenBudget": "labkit.context.policies",
    "Tree": "labkit.context.summary_tree",
    "Trimmed": "labkit.context.window",
    "Window": "labkit.context.window",
    "async_writer": "labkit.context.summarising",
    "bill": "labkit.context.billing",
    "estimate_request": "labkit.context.estimates",
    "exact_tokens": "labkit.context.estimates",
    "fit": "labkit.context.summarising",
    "fit_async": "labkit.context.summarising",
    "forecast": "labkit.context.forecasting",
    "writer": "labkit.context.summarising",
}

__all__ = [
    "Archive",
    "Bill",
    "Blocks",
    "Calibration",
    "Forecast",
    "Goal",
    "Limit",
    "Plan",
    "Policy",
    "PriceAware",
    "Rolling",
    "Session",
    "Size",
    "SlidingWindow",
    "SummaryPlan",
    "TokenBudget",
    "Tree",
    "Trimmed",
    "Window",
    "async_writer",
    "bill",
    "estimate_request",
    "exact_tokens",
    "fit",
    "fit_async",
    "forecast",
    "writer",
]


def __getattr__(name: str) -> Any:
    """Load a name from its module."""
    if name not in HOMES:
        raise AttributeError(f"labkit.context has no {name!r}; it has {', '.join(__all__)}.")
    return getattr(import_module(HOMES[name]), name)

"""Conversations that stay affordable: token estimates, trimming at the right price, archives.

Each name is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from labkit.context.window import Trimmed, Window

HOMES = {
    "Bill": "labkit.context.billing",
    "Blocks": "labkit.context.policies",
    "Calibration": "labkit.context.calibration",
    "Forecast": "labkit.context.forecasting",
    "Goal": "labkit.context.policy",
    "Limit": "labkit.context.policies",
    "Plan": "labkit.context.billing",
    "Policy": "labkit.context.policy",
    "PriceAware": "labkit.context.policies",
    "Size": "labkit.context.forecasting",
    "SlidingWindow": "labkit.context.policies",
    "SummaryPlan": "labkit.context.billing",
    "TokenBudget": "labkit.context.policies",
    "Trimmed": "labkit.context.window",
    "Window": "labkit.context.window",
    "bill": "labkit.context.billing",
    "estimate_request": "labkit.context.estimates",
    "exact_tokens": "labkit.context.estimates",
    "forecast": "labkit.context.forecasting",
}

__all__ = [
    "Bill",
    "Blocks",
    "Calibration",
    "Forecast",
    "Goal",
    "Limit",
    "Plan",
    "Policy",
    "PriceAware",
    "Size",
    "SlidingWindow",
    "SummaryPlan",
    "TokenBudget",
    "Trimmed",
    "Window",
    "bill",
    "estimate_request",
    "exact_tokens",
    "forecast",
]


def __getattr__(name: str) -> Any:
    """Load a name from its module."""
    if name not in HOMES:
        raise AttributeError(f"labkit.context has no {name!r}; it has {', '.join(__all__)}.")
    return getattr(import_module(HOMES[name]), name)

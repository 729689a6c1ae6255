"""labkit: patterns for running the Claude API at scale, and the laboratory to study them in.

The names a lesson imports are here; each is loaded when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.batch_lanes import Lanes, two_lanes
    from labkit.batches import BatchJob
    from labkit.drivers import Layer
    from labkit.flow import Note, Now, Outcome, Request, Send, Sleep
    from labkit.lab.session import Lab
    from labkit.lab.widgets import Slider, playground, predict
    from labkit.layers.adaptive import Adaptive
    from labkit.layers.attempt_timeout import AttemptTimeout
    from labkit.layers.breaker import Breaker
    from labkit.layers.budget import Budget
    from labkit.layers.bulkhead import Bulkhead
    from labkit.layers.cascade import Cascade
    from labkit.layers.client_throttle import ClientThrottle
    from labkit.layers.deadline import Deadline
    from labkit.layers.fallback import Fallback, rung_of
    from labkit.layers.hedge import Hedge
    from labkit.layers.load_shedding import LoadShedding
    from labkit.layers.percentile import Percentile
    from labkit.layers.response_cache import ResponseCache
    from labkit.layers.retry import Retry
    from labkit.layers.retry_budget import RetryBudget
    from labkit.layers.room import Room
    from labkit.layers.route import Route, Rule
    from labkit.layers.rungs import Rung, canned, honest_refusal, other_model, shorter_answer, stale
    from labkit.layers.semantic_cache import SemanticCache
    from labkit.layers.throttle import Throttle
    from labkit.layers.trim import Trim
    from labkit.layers.warm_up import WarmUp
    from labkit.ledger import Ledger
    from labkit.sim.faults import Fault
    from labkit.sim.simulate import simulate

HOMES = {
    "Adaptive": "labkit.layers.adaptive",
    "AttemptTimeout": "labkit.layers.attempt_timeout",
    "BatchJob": "labkit.batches",
    "Breaker": "labkit.layers.breaker",
    "Budget": "labkit.layers.budget",
    "Bulkhead": "labkit.layers.bulkhead",
    "Cascade": "labkit.layers.cascade",
    "ClientThrottle": "labkit.layers.client_throttle",
    "Deadline": "labkit.layers.deadline",
    "Fallback": "labkit.layers.fallback",
    "Fault": "labkit.sim.faults",
    "Hedge": "labkit.layers.hedge",
    "Lab": "labkit.lab.session",
    "Lanes": "labkit.batch_lanes",
    "Layer": "labkit.drivers",
    "Ledger": "labkit.ledger",
    "LoadShedding": "labkit.layers.load_shedding",
    "Note": "labkit.flow",
    "Now": "labkit.flow",
    "Outcome": "labkit.flow",
    "Percentile": "labkit.layers.percentile",
    "Request": "labkit.flow",
    "ResponseCache": "labkit.layers.response_cache",
    "Retry": "labkit.layers.retry",
    "RetryBudget": "labkit.layers.retry_budget",
    "Room": "labkit.layers.room",
    "Route": "labkit.layers.route",
    "Rule": "labkit.layers.route",
    "Rung": "labkit.layers.rungs",
    "SemanticCache": "labkit.layers.semantic_cache",
    "Send": "labkit.flow",
    "Sleep": "labkit.flow",
    "Slider": "labkit.lab.widgets",
    "Throttle": "labkit.layers.throttle",
    "Trim": "labkit.layers.trim",
    "WarmUp": "labkit.layers.warm_up",
    "canned": "labkit.layers.rungs",
    "honest_refusal": "labkit.layers.rungs",
    "other_model": "labkit.layers.rungs",
    "playground": "labkit.lab.widgets",
    "predict": "labkit.lab.widgets",
    "rung_of": "labkit.layers.fallback",
    "shorter_answer": "labkit.layers.rungs",
    "simulate": "labkit.sim.simulate",
    "stale": "labkit.layers.rungs",
    "two_lanes": "labkit.batch_lanes",
}

__all__ = [
    "Adaptive",
    "AttemptTimeout",
    "BatchJob",
    "Breaker",
    "Budget",
    "Bulkhead",
    "Cascade",
    "ClientThrottle",
    "Deadline",
    "Fallback",
    "Fault",
    "Hedge",
    "Lab",
    "Lanes",
    "Layer",
    "Ledger",
    "LoadShedding",
    "Note",
    "Now",
    "Outcome",
    "Percentile",
    "Request",
    "ResponseCache",
    "Retry",
    "RetryBudget",
    "Room",
    "Route",
    "Rule",
    "Rung",
    "SemanticCache",
    "Send",
    "Sleep",
    "Slider",
    "Throttle",
    "Trim",
    "WarmUp",
    "canned",
    "honest_refusal",
    "other_model",
    "playground",
    "predict",
    "rung_of",
    "shorter_answer",
    "simulate",
    "stale",
    "two_lanes",
]


def __getattr__(name: str) -> Any:
    """Load a name from its module; `import labkit` itself loads nothing heavy."""
    if name not in HOMES:
        raise AttributeError(f"labkit has no {name!r}; it has {', '.join(__all__)}.")
    return getattr(import_module(HOMES[name]), name)

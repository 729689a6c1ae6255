"""An hour of real traffic through a full stack: a cost and latency report, and how long it took.

The trace is Azure's (19,366 requests to a chat service), or any file in its format or BurstGPT's.

    uv run python benchmarks/trace.py [--trace FILE] [--model NAME] [--volume 1] [--time-scale 1]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from labkit.errors import UserError
from labkit.layers.breaker import Breaker
from labkit.layers.deadline import Deadline
from labkit.layers.retry import Retry
from labkit.layers.throttle import Throttle
from labkit.sim.faults import Fault
from labkit.sim.report import Report, report
from labkit.sim.simulate import simulate
from labkit.sim.traces import read_trace

TRACE = Path(__file__).resolve().parents[2] / "shared" / "data" / "azure-llm-trace-2023-conv.csv"


def replay(trace: Path, *, model: str, volume: float = 1.0, time_scale: float = 1.0) -> Report:
    """Play a trace through deadline, retry, breaker and throttle with a brownout in its middle."""
    result = simulate(
        read_trace(trace, model=model, volume=volume, time_scale=time_scale, seed=1),
        stack=[
            Deadline(120),
            Retry(seed=1),
            Breaker(seed=1),
            Throttle(requests=4_000, input_tokens=4_000_000, output_tokens=800_000),
        ],
        api={
            "tier": "build",
            "faults": [Fault("overloaded", start=1500, end=1680, share=0.4)],
        },
        seed=1,
    )
    return report(result)


def main() -> None:
    """Replay a trace and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trace", type=Path, default=TRACE)
    parser.add_argument("--model", default="claude-haiku-5-5")
    parser.add_argument("--volume", type=float, default=1.0)
    parser.add_argument("--time-scale", type=float, default=1.0)
    options = parser.parse_args()
    began = time.perf_counter()
    try:
        found = replay(
            options.trace,
            model=options.model,
            volume=options.volume,
            time_scale=options.time_scale,
        )
    except UserError as error:
        raise SystemExit(str(error)) from None
    print(found)
    print(f"replayed in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()

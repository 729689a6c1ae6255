"""Draw the README's picture: ten calls in an overload of seven seconds, without and with retry.

    uv run python notebooks/images/picture.py

A test draws it again and compares.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pandas as pd
from anthropic import APIError, AsyncAnthropic

from labkit import Fault, Lab, Retry
from labkit.lab.charts import timeline

PICTURE = Path(__file__).parent / "retry-timeline.svg"
OVERLOAD = [Fault("overloaded", end=7)]
CALLS = 10


async def afternoon(client: AsyncAnthropic, model: str) -> None:
    """Make ten calls, one a second, whatever becomes of them."""

    async def call(number: int) -> None:
        await asyncio.sleep(number)
        words: Any = [{"role": "user", "content": f"I am customer {number}. When do you open?"}]
        try:
            await client.messages.create(model=model, max_tokens=100, messages=words)
        except APIError:
            pass

    await asyncio.gather(*(call(number) for number in range(CALLS)))


def attempts(name: str, **options: Any) -> pd.DataFrame:
    """Play the afternoon on a bench of its own and return its attempts."""
    lab = Lab("picture", mode="simulate")
    client = lab.async_client("afternoon", faults=OVERLOAD, **options)
    lab.run(afternoon(client, lab.model("fast")))
    return lab.ledger.attempts_table().assign(client=name)


def draw() -> str:
    """Return the picture as SVG."""
    played = [
        attempts("without retries", max_retries=0),
        attempts("with labkit's Retry", layers=[Retry(attempts=6, seed=1)]),
    ]
    title = "An overload of seven seconds (simulated)"
    return timeline(pd.concat(played, ignore_index=True), title=title).svg


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8", newline="\n")

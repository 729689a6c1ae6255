"""Where words go on a curve: names apart from each other, a remark clear of the lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

__all__ = ["Point", "Side", "clearest", "dotted", "spread"]

Point = tuple[float, float]
"""Pixels to the right and up from the lower left corner of the chart."""

Side = tuple[int, int]
"""Where words stand from a point: 1 or -1 for right or left, then for above or below."""


def spread(heights: Sequence[float], apart: float, top: float) -> list[float]:
    """Keep heights `apart` and between 0 and `top`, moving neighbours no further than they must.

    >>> spread([50, 52, 90], apart=10, top=100)
    [46.0, 56.0, 90.0]
    """
    order = sorted(range(len(heights)), key=lambda n: heights[n])
    groups = [[n] for n in order]
    placed = [float(height) for height in heights]

    def lowest(group: list[int]) -> float:
        length = (len(group) - 1) * apart
        middle = sum(heights[n] for n in group) / len(group)
        return min(max(middle - length / 2, 0.0), top - length)

    place = 0
    while place < len(groups) - 1:
        below, above = groups[place], groups[place + 1]
        if lowest(below) + apart * len(below) > lowest(above):
            groups[place : place + 2] = [below + above]
            place = max(place - 1, 0)
        else:
            place += 1
    for group in groups:
        for step, n in enumerate(group):
            placed[n] = lowest(group) + apart * step
    return placed


def clearest(
    point: Point, size: Point, lines: Iterable[Sequence[Point]], chart: Point, aside: Point
) -> Side:
    """Choose the side of a point where words of a `size` cross the lines least.

    `aside` is the distance from the point to the words; words that leave the `chart` come last.
    """
    dots = [dot for line in lines for dot in dotted(line)]

    def cost(side: Side) -> float:
        right, up = side
        left = point[0] + aside[0] if right > 0 else point[0] - aside[0] - size[0]
        low = point[1] + up * aside[1] - size[1] / 2
        crossed = sum(
            left - 3 <= x <= left + size[0] + 3 and low <= y <= low + size[1] for x, y in dots
        )
        inside = left >= 0 and left + size[0] <= chart[0] and 0 <= low <= chart[1] - size[1]
        return crossed + (0 if inside else 1e6)

    return min(((1, 1), (-1, 1), (1, -1), (-1, -1)), key=cost)


def dotted(line: Sequence[Point], apart: float = 3.0) -> list[Point]:
    """Walk along a line in steps of a few pixels."""
    dots = list(line[:1])
    for (x0, y0), (x1, y1) in pairwise(line):
        steps = max(1, int(max(abs(x1 - x0), abs(y1 - y0)) / apart))
        dots += [
            (x0 + (x1 - x0) * n / steps, y0 + (y1 - y0) * n / steps) for n in range(1, steps + 1)
        ]
    return dots

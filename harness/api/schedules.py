"""Schedules as functions of progress in [0, 1], so that they stretch to any budget."""

from __future__ import annotations

import math


def ramp_up(progress: float, end: float = 1.0) -> float:
    """Gaussian ramp exp(-5 (1 - min(p, end) / end)^2) (Laine and Aila 2017): e^-5 at 0, 1 from `end` on."""
    if not 0.0 < end <= 1.0:
        raise ValueError(f"a ramp ends within (0, 1] of the stage, not at {end}")
    return math.exp(-5.0 * (1.0 - min(progress, end) / end) ** 2)


def staircase(progress: float, stairs: int | None) -> float:
    """Progress rounded down to one of `stairs` equal steps, as in floor(t / 150); None leaves it smooth.

    With 30,000 iterations, floor(t / 150) / 200 is staircase(t / 30000, 200).
    """
    if stairs is None:
        return progress
    return math.floor(progress * stairs + 1e-9) / stairs


def poly(progress: float, power: float) -> float:
    """Polynomial decay (1 - p)^power, from 1 to 0."""
    return math.pow(max(0.0, 1.0 - progress), power)

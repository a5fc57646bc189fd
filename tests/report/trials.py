"""Made-up search trials, as a board gives them."""

import json
import math
from dataclasses import replace
from typing import Any

import pandas as pd

from harness.leaderboard.leaderboard import Leaderboard

SCHEDULES: tuple[dict[str, Any], ...] = (
    {"family": "constant", "tau": 0.1},
    {"family": "half_cosine", "start": 1.0, "end": 0.1},
    {"family": "cosine", "low": 0.1, "high": 1.0, "periods": 1},
    {"family": "cosine", "low": 0.1, "high": 1.0, "periods": 10},
)
CENTERS = (1, 2, 4, 8, 16)


def row(method: str, point: int, varied: dict[str, Any], score: float, **changes: Any) -> dict[str, Any]:
    """One trial that went well, unless `changes` say otherwise."""
    usual = {
        "suite": "phantom_mini", "entry": method, "study": 0, "point": point, "params": json.dumps(varied),
        "varied": json.dumps(varied), "score": score, "status": "ok", "useful_device_seconds": 60.0,
        "lost_device_seconds": 0.0, "reference_steps": math.nan, "reference_steps_budget": math.nan, "chosen": False,
    }  # fmt: skip
    return {**usual, **changes}


def trials() -> pd.DataFrame:
    """A grid of schedules and centre counts for mc_net (its cosine with 8 centres failed), three numbers for ua_mt."""
    grid = [(schedule, r) for schedule in SCHEDULES for r in CENTERS]
    rows = [
        row("mc_net", i, {"student_temperature": s, "anatomical_temperature": s, "centers_per_class": r},
            0.5 + 0.01 * i, chosen=i == 19)
        for i, (s, r) in enumerate(grid)
    ]  # fmt: skip
    rows[13] |= {"score": float("nan"), "status": "failed", "useful_device_seconds": 6.0, "lost_device_seconds": 2.5}
    numbers = [(0.01, 0.9), (0.1, 0.95), (1.0, 0.99)]
    rows += [row("ua_mt", i, {"consistency": c, "ema_decay": e}, 0.6 - 0.1 * i) for i, (c, e) in enumerate(numbers)]
    return pd.DataFrame(rows)


def searched(board: Leaderboard, search: pd.DataFrame | None = None) -> Leaderboard:
    """A leaderboard as if its suite had been searched by `trials`, or by others."""
    return replace(board, inputs=replace(board.inputs, search=trials() if search is None else search))

import json
import math
from dataclasses import replace

import pandas as pd


def trials():
    points = [("mc_net", point) for point in range(20)] + [("ua_mt", point) for point in range(3)]
    usual = {
        "suite": "phantom_mini", "study": 0, "status": "ok", "useful_device_seconds": 60.0, "lost_device_seconds": 0.0,
        "reference_steps": math.nan, "reference_steps_budget": math.nan, "chosen": False,
    }  # fmt: skip
    rows = [
        {**usual, "entry": entry, "point": point, "varied": json.dumps({"bank": point}), "score": 0.5 + 0.01 * point}
        for entry, point in points
    ]
    rows[13] |= {"score": math.nan, "status": "failed", "useful_device_seconds": 6.0, "lost_device_seconds": 2.5}
    return pd.DataFrame(rows)


def searched(board):
    return replace(board, inputs=replace(board.inputs, search=trials()))

"""What per-case records lose when they are written."""

import math
from pathlib import Path

import numpy as np

from harness.records.case_file import pack_cases
from harness.records.cases import METRICS, STORED_COLUMNS, parse_cases
from tests.synthetic import RunSpec, cases_frame


def test_dice_keeps_five_digits_hd95_four_and_other_surface_metrics_three():
    kept = [0.0, 1.0, math.nan, 0.5, 12.25]
    frame = cases_frame(RunSpec().planned_runs[0], RunSpec()).iloc[:10]
    surfaces = {
        name: kept + list(np.geomspace(1e-3, 900.0 + place, 5)) for place, name in enumerate(METRICS) if place > 1
    }
    frame = frame.assign(**surfaces, dice=np.linspace(0.0, 1.0, 10) / 3)
    read = parse_cases(pack_cases(frame[list(STORED_COLUMNS)]), Path("cases.parquet"))
    np.testing.assert_allclose(read["dice"], frame["dice"], rtol=2**-16)
    for name, values in surfaces.items():
        np.testing.assert_array_equal(read[name][:5], kept)
        np.testing.assert_allclose(read[name][5:], values[5:], rtol=2**-13 if name.startswith("hd95") else 2**-11)

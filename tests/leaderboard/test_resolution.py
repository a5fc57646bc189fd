import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from harness.leaderboard.inputs import read_input
from harness.leaderboard.resolution import SHIPPED, measured_spreads
from harness.records.archive import import_records
from harness.records.reader import SuiteRecords
from tests.support import REPO
from tests.synthetic import RunSpec, write_records


def test_the_shipped_spread_is_that_of_the_shipped_records(tmp_path):
    with SHIPPED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    import_records(REPO / "benchmarks" / "results" / "records.tar.xz", tmp_path)
    for row in rows:
        root = tmp_path / Path(row["source"].split()[0]).name
        spread = measured_spreads(read_input(SuiteRecords.open(root)))[int(row["labelled"])]
        written = tuple(float(row[name]) for name in ("between", "within", "runs", "pairs", "patients"))
        again = f"python -m harness.leaderboard.resolution RUNS/{root.name} prints what {SHIPPED.name} must hold"
        assert written == pytest.approx(tuple(vars(spread).values()), abs=5e-5), again


def test_spread_by_hand(tmp_path):
    """Runs that only one of two methods has are left out; patients are matched, and so are seeds."""
    spec = RunSpec(labelled=(3,), missing={("ua_mt", 3, 0, 0)})
    inputs = read_input(SuiteRecords(write_records(tmp_path / "s", spec)))
    cases = inputs.comparisons[0].cases.query("checkpoint == 'last'")
    dice = cases.groupby(["entry", "seed", "patient"], observed=True)["dice"].mean()
    between, within = [], []
    for a, b in combinations(("supervised", "ua_mt", "mc_net"), 2):
        seeds = (1, 2) if "ua_mt" in (a, b) else (0, 1, 2)
        values = np.stack([(dice[a, seed] - dice[b, seed]).to_numpy() for seed in seeds], axis=1)
        rest = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
        error = np.square(rest).sum() / (19 * (len(seeds) - 1))
        within.append(error**0.5)
        between.append(max(0.0, values.mean(1).var(ddof=1) - error / len(seeds)) ** 0.5)
    spread = measured_spreads(inputs)[3]
    assert (spread.between, spread.within) == pytest.approx((np.median(between), np.median(within)))
    assert (spread.runs, spread.pairs, spread.patients) == (2, 3, 20)

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.audit.metrics import MILLIMETRES, empty_masks, whole_volumes
from harness.leaderboard.inputs import read_input
from harness.records.reader import SuiteRecords
from harness.records.run_folder import RunFolder
from tests.audit.fair import bend, cases_of, fair_suite, with_cases
from tests.synthetic import RunSpec, write_checksums, write_records


@pytest.fixture(scope="module")
def spaced(tmp_path_factory):
    suite = fair_suite(tmp_path_factory.mktemp("fair"))
    return replace(suite, runs=tuple(map(in_mm, suite.runs)))


def in_mm(run):
    cases = cases_of(run)
    return with_cases(run, cases.assign(**{name: cases[name.replace("_mm", "_voxel")] * 1.5 for name in MILLIMETRES}))


def without(run, volumes, classes=3, columns=tuple(MILLIMETRES)):
    cases = cases_of(run)
    names = sorted(set(cases["case"]))[:volumes], sorted(set(cases["class_name"]))[:classes]
    gone = cases["case"].isin(names[0]) & cases["class_name"].isin(names[1])
    cases.loc[gone, list(columns)] = np.nan
    return with_cases(run, cases)


@pytest.mark.parametrize(("volumes", "classes", "columns"), [(20, 3, MILLIMETRES), (1, 1, ["asd_mm"])])
def test_one_run_without_what_others_have_breaks_the_rule(spaced, volumes, classes, columns):
    verdict = whole_volumes.judge(bend(spaced, lambda run: without(run, volumes, classes, tuple(columns))))
    assert verdict.status == "not held"
    assert "ua_mt/7/0/1" in verdict.evidence[0]


@pytest.mark.parametrize("free", ["nsd_mm", "hd95_mm"])
def test_a_missed_structure_costs_in_millimetres_too(free, spaced):
    def change(run):
        cases = cases_of(run)
        cases.loc[cases["missed"], free] = 1.0
        return with_cases(run, cases)

    assert empty_masks.judge(spaced).status == "held"
    assert empty_masks.judge(bend(spaced, change)).status == "not held"


def test_tables_average_millimetres_over_all_volumes_or_none(tmp_path):
    store = write_records(tmp_path / "s", RunSpec(spacing_mm=1.5))
    (whole,) = read_input(SuiteRecords(store)).comparisons
    assert whole.cases["hd95_mm"].notna().all()
    path = next(store.root.glob("runs/*/cases.parquet"))
    cases = pd.read_parquet(path)
    cases.loc[cases["case"] == cases["case"][0], "hd95_mm"] = np.nan
    cases.to_parquet(path)
    write_checksums(RunFolder(path.parent))
    (partly,) = read_input(SuiteRecords(store)).comparisons
    assert partly.cases["hd95_mm"].isna().all()
    assert partly.cases["asd_mm"].notna().all()

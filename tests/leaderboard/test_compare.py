import subprocess
from dataclasses import replace

import pandas as pd
import pytest

from harness.api.errors import DataError, UsageError
from harness.api.params import OptimiserSettings
from harness.leaderboard.compare import compare_boards
from harness.leaderboard.inputs import read_input
from harness.leaderboard.joint import rank_together
from harness.leaderboard.sources import opened
from harness.records.archive import export_records
from harness.records.reader import SuiteRecords
from harness.records.schema import DatasetRef, Engine
from tests.synthetic import RunSpec, key, write_records

METHODS = {"supervised": 0.0, "ua_mt": 0.15, "supervised_full": 0.0}
SPEC = RunSpec(methods=METHODS, labelled=(3,), seeds=3, patients=8, validations=2, history_steps=2)
BETTER = replace(SPEC, methods={**SPEC.methods, "ua_mt": 1.5})


def compared(a, b, metric="dice"):
    inputs = [read_input(SuiteRecords(store)) for store in (a, b)]
    return compare_boards(inputs[0], inputs[1], ("A", "B"), metric)


def by_patient(store, spec, method, seeds, metric):
    runs = [spec.run(run).id for run in spec.planned_runs if run.entry == method and run.seed in seeds]
    tables = [pd.read_parquet(store.root / "runs" / run / "cases.parquet") for run in runs]
    return pd.concat(tables).query("checkpoint == 'last'").groupby("patient")[metric].mean()


@pytest.mark.parametrize("metric", ["dice", "hd95_voxel"])
def test_the_cell_that_differs_is_paired_over_patients(metric, tmp_path):
    a, b = write_records(tmp_path / "a", SPEC), write_records(tmp_path / "b", BETTER)
    found = compared(a, b, metric)
    (row,) = found.differing.to_dict("records")
    assert (row["entry"], row["labelled"], row["runs_paired"]) == ("ua_mt", "3", 3)
    assert {key.cell for key in found.equal} == {"supervised@3", "supervised_full@all"}
    assert (found.only_a, found.only_b, found.conditions) == ((), (), ())
    gaps = by_patient(b, BETTER, "ua_mt", range(3), metric) - by_patient(a, SPEC, "ua_mt", range(3), metric)
    assert row["difference"] == pytest.approx(gaps.mean())
    assert row["b"] - row["a"] == pytest.approx(gaps.mean())
    assert row["simultaneous_low"] < row["difference"] < row["simultaneous_high"]
    back = compared(b, a, metric).differing.iloc[0]
    assert back["difference"] == -row["difference"]
    assert row["probability_of_improvement"] == pytest.approx(1 - back["probability_of_improvement"])
    assert (row["probability_of_improvement"] > 0.5) == ((gaps.mean() > 0) == (metric == "dice"))


def test_only_runs_that_both_have_are_paired(tmp_path):
    a = write_records(tmp_path / "a", SPEC)
    fewer = write_records(
        tmp_path / "fewer", replace(BETTER, seeds=2, methods={"ua_mt": 1.5, "supervised": 0.0, "new": 0})
    )
    found = compared(a, fewer)
    (row,) = found.differing.to_dict("records")
    assert (row["runs_a"], row["runs_b"], row["runs_paired"]) == (3, 2, 2)
    gaps = by_patient(fewer, BETTER, "ua_mt", range(2), "dice") - by_patient(a, SPEC, "ua_mt", range(2), "dice")
    assert row["difference"] == pytest.approx(gaps.mean())
    assert [key.cell for key in found.equal] == ["supervised@3"]
    assert [key.cell for key in found.only_a] == ["supervised_full@all"]
    assert [key.cell for key in found.only_b] == ["new@3"]


def test_other_settings_are_named_and_never_ranked_together(tmp_path):
    a, b = (write_records(tmp_path / name, SPEC) for name in "ab")
    faster = Engine(batch_size=8, optimiser=OptimiserSettings(learning_rate=0.1))
    b.write_selection(b.selection().model_copy(update={"engine": faster}))
    rates = [f"optimiser.learning_rate = {rate}" for rate in (0.01, 0.1)]
    assert compared(a, b).conditions == (tuple(rates),)
    boards = {store.root.name: read_input(SuiteRecords(store)) for store in (a, b)}
    assert [*rank_together(boards)["conditions"].unique()] == rates


def test_runs_of_a_rung_and_of_a_suite_without_a_ladder_are_one_row(tmp_path):
    ladder, alone = (write_records(tmp_path / name, replace(SPEC, ladder=(500, 2000))) for name in "ab")
    selection = alone.selection()
    short = [entry for entry in selection.entries if entry.planned_run.rung == 500]
    named = [
        entry.model_copy(update={"planned_run": entry.planned_run.model_copy(update={"rung": None})}) for entry in short
    ]
    alone.write_selection(selection.model_copy(update={"entries": named}))
    rows = rank_together({store.root.name: read_input(SuiteRecords(store)) for store in (ladder, alone)})
    assert rows["contributors"].tolist() == ["a, b", "a, b", "a", "a"]


def test_other_data_and_other_patients_are_refused(tmp_path):
    a = write_records(tmp_path / "a", SPEC)
    data = {"dataset": DatasetRef(name="la", version=1, checksum=SPEC.checksum)}
    la = write_records(tmp_path / "la", replace(SPEC, overrides={key(run): data for run in SPEC.planned_runs}))
    with pytest.raises(DataError, match="A is of the dataset phantom and B of la"):
        compared(a, la)
    with pytest.raises(DataError, match="tested on other patients"):
        compared(a, write_records(tmp_path / "few", replace(SPEC, patients=6)))


def test_records_are_found_wherever_they_lie(tmp_path, monkeypatch):
    store = write_records(tmp_path / "runs" / "mini", replace(SPEC, seeds=1))
    archive = tmp_path / "repository" / "mini" / "records.tar.xz"
    archive.parent.mkdir(parents=True)
    export_records([SuiteRecords(store)], archive)
    monkeypatch.chdir(tmp_path / "repository")
    for command in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "first"),
    ):
        subprocess.run(["git", *command], check=True)
    sources = [str(store.root), str(archive), "mini", "HEAD:mini/records.tar.xz"]
    for source in sources:
        with opened(source) as records:
            assert {run.id for run in records.runs} == {run.id for run in SuiteRecords(store).runs}
    for source, message in (("HEAD:other.tar.xz", "git has none of that name"), ("nowhere", "no such file or folder")):
        with pytest.raises(UsageError, match=message), opened(source):
            pass

import json
from statistics import fmean

import pandas as pd
import pyarrow.parquet as pq
import pytest
from matplotlib.image import imread

from harness.leaderboard.figure import draw_curves
from harness.leaderboard.notes import (
    DEVIATION,
    EMPTY_MASKS,
    IMPROVEMENT,
    IMPUTED,
    INTERVAL,
    MINI,
    RANKING,
    SIGNIFICANCE,
)
from harness.leaderboard.render import markdown, terminal_text
from harness.records.schema import Environment
from tests.synthetic import GAINS, PlannedRunKey, RunSpec, board_of, write_records, write_tables

pytestmark = pytest.mark.slow

NAMES = {
    "leaderboard.csv", "leaderboard.md", "paired.csv", "paired_per_class.csv", "per_class.csv", "profiles.csv",
    "curves.csv", "curves.png",
}  # fmt: skip


def read_csv(path):
    frame = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype={"seeds": str, "subsets": str})
    return frame.astype(
        {name: "Int64" for name in ("labelled", "place", "rank", "rank_worst", "method_version") if name in frame}
    )


def test_files_round_trip(tmp_path):
    spec = RunSpec(failed=frozenset({("ua_mt", 3, 0, 0)}), missing=frozenset({("mc_net", 3, 0, s) for s in range(3)}))
    store = write_records(tmp_path / "s", spec)
    board = board_of(store)
    paths = write_tables(store)
    assert {path.name for path in paths} == NAMES == {path.name for path in store.leaderboard.iterdir()}
    for name, frame in board.tables.items():
        read = read_csv(store.leaderboard / f"{name}.csv")
        assert read.columns.tolist() == frame.columns.tolist()
        for column in frame.select_dtypes("number"):
            assert read[column].astype("float64").equals(frame[column].astype("float64")), column
        for column in frame.columns.difference(frame.select_dtypes("number").columns):
            assert read[column].astype(object).fillna("").tolist() == frame[column].astype(object).fillna("").tolist()
    assert imread(store.leaderboard / "curves.png").shape[1] > 800


def test_the_same_records_give_the_same_bytes(tmp_path):
    spec, contents = RunSpec(labelled=(3,), seeds=1), []
    for name in ("one", "two"):
        store = write_records(tmp_path / name / "s", spec)
        contents.append({path.name: path.read_bytes() for path in write_tables(store)})
    assert contents[0] == contents[1]


def test_the_csv_follows_from_the_per_case_records_alone(tmp_path):
    store = write_records(tmp_path / "s", RunSpec(methods={"a": 0.0, "supervised_full": 0.0}, subsets=2, seeds=2))
    write_tables(store)
    for row in read_csv(store.leaderboard / "leaderboard.csv").to_dict("records"):
        labelled = None if row["trained_on"] == "all" else row["labelled"]
        patients: dict[str, list[float]] = {}
        for run in store.root.glob("runs/*/run.json"):
            question = json.loads(run.read_text())
            if (question["method"], question["labelled"]) == (row["entry"], labelled):
                for case in pq.read_table(run.with_name("cases.parquet")).to_pylist():
                    if case["checkpoint"] == row["checkpoint"]:
                        patients.setdefault(case["patient"], []).append(case["hd95_voxel"])
        assert row["hd95_voxel"] == pytest.approx(fmean(fmean(values) for values in patients.values()))
        assert row["n_patients"] == len(patients) == 20


def test_a_long_title_of_the_curves_is_not_cut(tmp_path):
    curves = board_of(write_records(tmp_path / "one_count", RunSpec(labelled=(3,)))).curves
    draw_curves(curves, f"acdc_mini ({MINI})", tmp_path / "curves.png")
    assert (imread(tmp_path / "curves.png")[:, -3:, :3] == 1.0).all(), "white up to the right edge"


def test_text_has_all_that_a_reader_must_know(tmp_path):
    spec = RunSpec(
        methods={"baseline": 0.0, "twin": 0.0, "supervised_full": 0.0}, spacing_mm=1.5,
        failed=frozenset({("twin", 3, 0, 1)}), missing=frozenset({("baseline", 7, 0, 2)}),
    )  # fmt: skip
    board = board_of(write_records(tmp_path / "acdc_mini", spec))
    flat = " ".join(terminal_text(board, width=400).split())
    for text in (flat, " ".join(markdown(board).split())):
        for text_part in (
            "Leaderboard of acdc_mini", MINI, "Budget: 300 device seconds a run",
            "Device: Synthetic CPU @ 2.50GHz (cpu, 1 thread, float32), torch 2.13.0; commit 0000000000.",
            "Data: phantom v1 (checksum cccccccccc)", "n = 20 patients (40 volumes); seeds 0, 1, 2; labelled subsets 0",
            INTERVAL, EMPTY_MASKS, SIGNIFICANCE, DEVIATION, IMPROVEMENT, IMPUTED, RANKING,
            "Unfinished: 1 of 15 runs are missing",
            "Failed: twin 3-labelled subset 0 seed 1 (nan: loss became NaN at step 17).",
            "2/3 ok, 1 failed", "not significant", "significant", "3 labelled patients", "7 labelled patients",
        ):  # fmt: skip
            assert text_part in text, text_part
    assert "HD95 mm" in markdown(board)
    assert "within 1 voxel, 2 mm of the other surface" in markdown(board)
    assert "None" not in flat
    assert "nan " not in flat.replace("(nan:", "")


def test_a_full_size_suite_is_not_called_mini_and_unknown_spacing_has_no_millimetres(plain):
    text = markdown(board_of(plain))
    assert MINI not in text
    assert "HD95 voxel" in text
    assert "within 1 voxel of the other surface" in text
    assert " mm " not in text
    assert "Unfinished" not in text


def test_fits_100_columns(plain):
    text = terminal_text(board_of(plain), width=100)
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    for method in GAINS:
        assert method in text


def test_mixed_conditions_make_titled_tables(tmp_path):
    odd: dict[PlannedRunKey, Environment] = {
        ("ua_mt", 7, 0, 1): RunSpec().environment.model_copy(update={"torch": "2.12.1"})
    }
    board = board_of(write_records(tmp_path / "s", RunSpec(environments=odd)))
    text = markdown(board)
    assert "# Leaderboard of s, table 1: torch 2.13.0" in text
    assert "# Leaderboard of s, table 2: torch 2.12.1" in text
    assert "1 of 21 runs ran under other conditions" in text
    assert board.results.query("table == 2")["entry"].unique().tolist() == ["ua_mt"]
    assert board.results.query("table == 1 and entry == 'ua_mt' and labelled == 7")["n_ok"].tolist() == [2, 2]


def test_a_suite_in_which_nothing_ran_has_an_empty_table(tmp_path):
    planned_runs = RunSpec().planned_runs
    missing = frozenset(
        (planned_run.entry, planned_run.labelled, planned_run.subset, planned_run.seed) for planned_run in planned_runs
    )
    store = write_records(tmp_path / "s", RunSpec(missing=missing))
    write_tables(store)
    text = terminal_text(board_of(store))
    assert "21 of 21 runs are missing" in text
    assert "0/3 ok" in text

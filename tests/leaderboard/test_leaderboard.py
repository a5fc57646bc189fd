import pandas as pd
import pytest

from tests.support import cases_of
from tests.synthetic import RunSpec, board_of, write_checksums, write_records


def tiny(tmp_path, dice):
    spec = RunSpec(methods=dict.fromkeys(dice, 0.0), labelled=(3,), seeds=1, patients=4)
    store = write_records(tmp_path / "tiny", spec)
    for planned_run in spec.planned_runs:
        rows = [
            {
                "checkpoint": "last", "case": f"{patient}_{phase}", "patient": patient, "phase": phase,
                "class_name": class_name, "dice": value, "hd95_voxel": 10 * (1 - value),
                "nsd_voxel": value**2, "nsd_mm": None,
                "asd_voxel": 2 * (1 - value), "assd_voxel": 3 * (1 - value), "hd95_mm": None, "asd_mm": None,
                "assd_mm": None, "missed": value == 0, "spurious": False, "voxels_true": 9, "voxels_predicted": 9,
            }
            for (patient, phase, class_name), value in dice[planned_run.entry].items()
        ]  # fmt: skip
        folder = store.by_id(spec.run(planned_run).id)
        folder.write_cases(pd.DataFrame(rows))
        write_checksums(folder)
    return board_of(store)


BY_HAND = {
    "a": {
        ("p1", "ED", "LV"): 0.9, ("p1", "ED", "RV"): 0.7, ("p1", "ES", "LV"): 0.8, ("p1", "ES", "RV"): 0.6,
        ("p2", "ED", "LV"): 0.5, ("p2", "ED", "RV"): 0.0, ("p3", "ED", "LV"): 1.0, ("p3", "ED", "RV"): 1.0,
    },
    "b": {
        ("p1", "ED", "LV"): 0.9, ("p1", "ED", "RV"): 0.9, ("p1", "ES", "LV"): 0.9, ("p1", "ES", "RV"): 0.9,
        ("p2", "ED", "LV"): 0.4, ("p2", "ED", "RV"): 0.4, ("p3", "ED", "LV"): 0.8, ("p3", "ED", "RV"): 0.8,
    },
}  # fmt: skip


def test_by_hand(tmp_path):
    board = tiny(tmp_path, BY_HAND)
    rows = board.results.set_index("entry")
    # a: patients 0.75, 0.25, 1.0 -> 2/3. Its cases alone would give 5.5 / 8. b: 0.9, 0.4, 0.8 -> 0.7.
    assert rows["dice"].to_dict() == pytest.approx({"a": 2 / 3, "b": 0.7}, abs=1e-5)
    assert rows["place"].to_dict() == {"a": 2, "b": 1}
    assert rows[["rank", "rank_worst"]].to_numpy().tolist() == [[1, 2], [1, 2]], "three patients decide nothing"
    assert rows["dice_imputed"].to_dict() == rows["dice"].to_dict()
    assert rows[["dice_std", "dice_subsets_low", "dice_subsets_high"]].isna().all(axis=None), "a single run"
    assert rows["hd95_voxel"].to_dict() == pytest.approx({"a": 10 / 3, "b": 3.0})
    assert rows["n_missed"].to_dict() == {"a": 1, "b": 0}
    assert (rows["n_patients"] == 3).all()
    assert (rows["n_structures"] == 8).all()
    assert rows["hd95_mm"].isna().all()
    assert rows["dice_low"].isna().all(), "three patients determine no bootstrap-t interval"

    classes = board.per_class[board.per_class["metric"] == "dice"].set_index(["entry", "class_name"])
    assert classes.loc[("a", "LV"), "mean"] == pytest.approx((0.85 + 0.5 + 1.0) / 3, abs=1e-5)
    assert classes.loc[("a", "RV"), "mean"] == pytest.approx((0.65 + 0.0 + 1.0) / 3, abs=1e-5)
    assert classes["n_missed"].to_dict() == {("a", "LV"): 0, ("a", "RV"): 1, ("b", "LV"): 0, ("b", "RV"): 0}

    (pair,) = board.paired[board.paired["metric"] == "dice"].to_dict("records")
    assert (pair["entry_a"], pair["entry_b"], pair["verdict"]) == ("b", "a", "undetermined")
    assert pair["difference"] == pytest.approx((0.15 + 0.15 - 0.2) / 3, abs=1e-5)
    assert pair["probability_of_improvement"] == pytest.approx(2 / 3)  # b is better on p1 and p2, worse on p3
    assert pair["p_wilcoxon"] == pytest.approx(1.0)  # ranks +1.5, +1.5, -3


def test_a_failed_run_is_shown_and_ranks_last(tmp_path):
    spec = RunSpec(failed={("mc_net", 3, 0, 1)})
    rows = board_of(write_records(tmp_path / "s", spec)).results
    table = rows[(rows["labelled"] == 3) & (rows["checkpoint"] == "last") & (rows["block"] == "ranked")]
    failed = table[table["entry"] == "mc_net"].iloc[0]
    assert failed["dice"] == table["dice"].max()
    assert (failed["place"], failed["n_ok"], failed["n_failed"], failed["n_runs"]) == (3, 2, 1, 3)
    assert (failed["rank"], failed["rank_worst"]) == (3, 3)
    for column in ("dice", "dice_low", "dice_high"):
        assert failed[column.replace("dice", "dice_imputed")] == pytest.approx(2 / 3 * failed[column])
    assert failed["seeds"] == "0 2"
    assert (failed["device_seconds_min"], failed["steps_min"]) == (pytest.approx(299.7), 1498)
    assert failed["failed_device_seconds_total"] == pytest.approx(0.1 * 0.999 * 300)
    intact = rows[(rows["labelled"] == 7) & (rows["checkpoint"] == "last")].set_index("entry")
    assert intact.loc["mc_net", "rank"] == 1


def test_missing_runs_are_counted_and_not_yet_run_methods_are_unranked(tmp_path):
    missing = {("ua_mt", 3, 0, 0), *(("mc_net", 3, 0, seed) for seed in range(3))}
    rows = board_of(write_records(tmp_path / "s", RunSpec(missing=missing))).results
    table = rows.query("labelled == 3 and checkpoint == 'last'").set_index("entry")
    assert table["n_missing"].to_dict() == {"ua_mt": 1, "supervised": 0, "mc_net": 3, "supervised_full": 0}
    assert table["place"].dropna().to_dict() == {"ua_mt": 1, "supervised": 2}
    assert table["rank"].dropna().index.tolist() == ["ua_mt", "supervised"]


def test_the_fully_supervised_reference_is_shown_for_every_count_and_never_ranked(plain):
    rows = board_of(plain).results
    reference = rows[rows["entry"] == "supervised_full"]
    assert reference["rank"].isna().all()
    assert reference[["labelled", "checkpoint"]].to_numpy().tolist() == [
        [3, "last"], [3, "best_val"], [7, "last"], [7, "best_val"],
    ]  # fmt: skip
    assert reference.groupby("checkpoint")["dice"].nunique().to_dict() == {"last": 1, "best_val": 1}
    assert set(reference["trained_on"]) == {"all"}
    assert sorted(rows.loc[rows["place"] == 1, "entry"]) == ["mc_net"] * 4


def test_equal_methods_share_a_rank_and_a_better_one_does_not(tmp_path):
    board = board_of(write_records(tmp_path / "s", RunSpec(methods={"a": 0.0, "b": 0.0, "c": 1.0})))
    rows = board.results.query("checkpoint == 'last' and labelled == 7").set_index("entry")
    assert rows[["rank", "rank_worst"]].T.to_dict("list") == {"c": [1, 1], "a": [2, 3], "b": [2, 3]}
    pairs = board.paired.query("checkpoint == 'last' and labelled == 7 and metric == 'dice'")
    assert pairs["verdict"].value_counts().to_dict() == {"significant": 2, "not significant": 1}


def test_spread_over_runs_and_subsets_by_hand(tmp_path):
    """Three subsets of two seeds: the means of the runs are set, all patients and classes alike."""
    spec = RunSpec(methods={"a": 0.0}, labelled=(3,), subsets=3, seeds=2, patients=4)
    store = write_records(tmp_path / "s", spec)
    run_means = {(0, 0): 0.70, (0, 1): 0.80, (1, 0): 0.60, (1, 1): 0.60, (2, 0): 0.90, (2, 1): 0.80}
    for planned_run in spec.planned_runs:
        folder = store.by_id(spec.run(planned_run).id)
        value = run_means[planned_run.subset, planned_run.seed]
        folder.write_cases(cases_of(folder).assign(dice=value, hd95_voxel=10.0 * value))
        write_checksums(folder)
    board = board_of(store)
    row = board.results.query("checkpoint == 'last'").iloc[0]
    # subsets 0.75, 0.6, 0.85: mean 0.7333, deviation 0.1258; t of 2 degrees of freedom 4.3027, half width 0.3126
    assert row["dice"] == pytest.approx(4.4 / 6, abs=1e-5)
    assert row["dice_std"] == pytest.approx(0.121106, abs=1e-5)
    assert row["dice_subsets_low"] == pytest.approx(0.42075, abs=1e-4)
    assert row["dice_subsets_high"] == 1.0, "1.046, clipped"
    assert row["hd95_voxel_std"] == pytest.approx(1.21106, abs=1e-3)
    assert row["hd95_voxel_subsets_high"] == pytest.approx(10.4591, abs=0.01)
    classes = board.per_class.query("checkpoint == 'last' and metric == 'dice'")
    assert classes["std"].tolist() == pytest.approx([row["dice_std"]] * 3)
    assert classes["subsets_low"].tolist() == pytest.approx([row["dice_subsets_low"]] * 3)

import pandas as pd
import pytest

from harness.leaderboard.render import markdown
from tests.support import cases_of
from tests.synthetic import RunSpec, board_of, key, write_records

SPEC = RunSpec(labelled=(3,), seeds=2, patients=6, validations=2, history_steps=2)
ODD = ("mc_net", 3, 0, 1)
"""A run of the method that leads."""


def folder_of(store, planned_key=ODD):
    (planned_run,) = [planned_run for planned_run in SPEC.planned_runs if key(planned_run) == planned_key]
    return store.by_id(SPEC.run(planned_run).id)


def cases(change):
    def rewrite(folder):
        folder.write_cases(change(cases_of(folder)))
        folder.write_result(folder.require_result())

    return rewrite


def value(column, new, row=3):
    def change(frame):
        frame.loc[row, column] = new
        return frame

    return cases(change)


def dice(changed, place=0, field="dice"):
    def rewrite(folder):
        result = folder.require_result()
        validations = list(result.validations)
        validations[place] = validations[place].model_copy(update={field: changed})
        folder.write_result(result.model_copy(update={"validations": validations}))

    return rewrite


UNFIT = {
    "a row alone": (cases(lambda frame: frame.head(1)), "lacks 71 of the 72 rows"),
    "no row": (cases(lambda frame: frame.head(0)), "has no row"),
    "one patient more": (
        cases(lambda frame: pd.concat([frame, frame.tail(1).assign(case="x", patient="extra")], ignore_index=True)),
        "has 1 rows that the other runs lack (extra)",
    ),
    "other volumes of the same names": (value("voxels_true", 4999), "lacks 1 of the 72 rows"),
    "a row twice": (cases(lambda frame: pd.concat([frame, frame.tail(1)], ignore_index=True)), "repeats 1 rows"),
    "Dice above 1": (value("dice", 7.3), "has a dice of 7.3"),
    "a negative distance": (value("hd95_voxel", -1.0), "has a hd95_voxel of -1"),
    "a validation above 1": (dice({"RV": 1.5, "Myo": 0.5, "LV": 0.5}), "a Dice outside [0, 1] in validation 0"),
    "validations of other patients": (dice(("patient091",), 0, "patients"), "are of patient091, those of the other"),
}


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("runs") / "s", SPEC)


@pytest.mark.parametrize("name", UNFIT)
def test_an_unfit_run_is_in_no_number(name, records):
    change, expected = UNFIT[name]
    folder = folder_of(records)
    kept, frame = folder.require_result(), cases_of(folder)
    change(folder)
    try:
        board = board_of(records)
    finally:
        folder.write_cases(frame)
        folder.write_result(kept)
    (comparison,) = board.inputs.comparisons
    unfit = comparison.runs[comparison.runs["status"] == "unfit"]
    assert unfit["run"].tolist() == [folder.id]
    assert expected in unfit["failure_reason"].iloc[0]
    assert folder.id not in {*comparison.cases["run"], *comparison.validations["run"]}
    rows = board.results.query("checkpoint == 'last' and block == 'ranked'").set_index("entry")
    assert rows["rank"].to_dict()["mc_net"] == 3, "it leads where all runs fit"
    assert [rows.at["mc_net", name] for name in ("n_ok", "n_unfit", "n_failed")] == [1, 1, 0]
    assert rows["dice"].between(0, 1).all()
    text = markdown(board)
    assert "Unfit: mc_net 3-labelled subset 0 seed 1 is in no number" in text
    assert "1/2 ok, 1 unfit" in text


def test_a_method_without_any_fit_run_is_last(tmp_path):
    store = write_records(tmp_path / "s", SPEC)
    for seed in range(SPEC.seeds):
        UNFIT["no row"][0](folder_of(store, ("mc_net", 3, 0, seed)))
    row = board_of(store).results.query("checkpoint == 'last' and entry == 'mc_net'").iloc[0]
    assert (row["place"], row["rank"], row["n_ok"], row["n_unfit"]) == (3, 3, 0, 2)
    assert pd.isna(row["dice"])

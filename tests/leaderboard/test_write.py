import pandas as pd
import pytest
from matplotlib.image import imread

from harness.leaderboard.notes import EMPTY_MASKS, INTERVAL, MINI, RANKING
from harness.leaderboard.render import markdown, terminal_text
from tests.synthetic import RunSpec, board_of, write_records, write_tables

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
    spec = RunSpec(failed={("ua_mt", 3, 0, 0)}, missing={("mc_net", 3, 0, s) for s in range(3)})
    store = write_records(tmp_path / "s", spec)
    board = board_of(store)
    store.leaderboard.mkdir()
    (store.leaderboard / "break_even.csv").write_text("of a ladder that the suite had")
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


def test_text_has_all_that_a_reader_must_know(tmp_path):
    spec = RunSpec(
        methods={"baseline": 0.0, "twin": 0.0, "supervised_full": 0.0}, spacing_mm=1.5,
        failed={("twin", 3, 0, 1)}, missing={("baseline", 7, 0, 2)},
    )  # fmt: skip
    board = board_of(write_records(tmp_path / "acdc_mini", spec))
    flat = " ".join(terminal_text(board, width=400).split())
    for text in (flat, " ".join(markdown(board).split())):
        for text_part in (
            "Leaderboard of acdc_mini", MINI, "Budget: 300 device seconds a run", "commit 0000000000.",
            "n = 20 patients (40 volumes); seeds 0, 1, 2; labelled subsets 0", INTERVAL, EMPTY_MASKS, RANKING,
            "Unfinished: 1 of 15 runs are missing", "2/3 ok, 1 failed", "not significant", "7 labelled patients",
            "Failed: twin 3-labelled subset 0 seed 1 (nan: loss became NaN at step 17).",
        ):  # fmt: skip
            assert text_part in text, text_part
    assert "HD95 mm" in markdown(board)
    assert "nan " not in flat.replace("(nan:", "")

import math
from statistics import fmean

import pandas as pd
import pytest

from harness.leaderboard.figure import PALETTE
from harness.report.columns import columns, plain
from harness.report.content import METRICS, PROFILES, styles
from tests.report.conftest import FAILED, unpacked
from tests.report.trials import trials
from tests.support import cases_of, selected_of


def same(value, cell):
    """Whether a value of the page is a frame's cell, to six digits."""
    if pd.isna(cell):
        return value is None
    return value == cell if isinstance(cell, str) else value == pytest.approx(cell, rel=1e-5)


@pytest.mark.parametrize(("name", "attribute"), [("rows", "results"), ("curves", "curves")])
def test_frames_arrive_whole(written, name, attribute):
    frame, rows = getattr(written.board, attribute), unpacked(written.data[name])
    assert len(rows) == len(frame)
    for row, (_, cells) in zip(rows, frame.iterrows(), strict=True):
        assert list(row) == list(frame.columns)
        for column in frame.columns:
            assert same(row[column], cells[column]), (column, row[column], cells[column])


def test_profiles_lose_nothing_but_level_points(written):
    """Every share of the frame, to a thousandth, is that of the last point at or below its tau."""
    lines: dict[tuple[object, ...], list[dict[str, float]]] = {}
    sent = unpacked(written.data["profiles"])
    for row in sent:
        assert tuple(row) == PROFILES
        lines.setdefault((row["labelled"], row["checkpoint"], row["entry"], row["class_name"]), []).append(row)
    frame = written.board.profiles
    assert 0 < len(sent) < len(frame)
    for key, own in frame.groupby(["labelled", "checkpoint", "entry", "class_name"]):
        points = lines[key]
        assert (points[0]["tau"], points[-1]["tau"]) == (0, 1)
        for tau, share, low in own[["tau", "share", "low"]].itertuples(index=False):
            point = [one for one in points if one["tau"] <= tau + 1e-9][-1]
            assert point["share"] == pytest.approx(share, abs=6e-4)
            assert point["low"] == pytest.approx(low, abs=6e-4)


def test_classes_and_pairs_keep_the_metrics_that_the_page_shows(written):
    for name, frame in (("classes", written.board.per_class), ("pairs", written.board.paired)):
        rows = unpacked(written.data[name])
        assert {row["metric"] for row in rows} == set(METRICS)
        assert list(rows[0]) == frame.columns.tolist()
    pairs = written.board.paired.query("metric == 'dice' and checkpoint == 'last' and labelled == 7")
    own = [
        row for row in unpacked(written.data["pairs"])
        if (row["metric"], row["checkpoint"], row["labelled"], row["class_name"]) == ("dice", "last", 7, "mean")
    ]  # fmt: skip
    assert [(row["entry_a"], row["entry_b"]) for row in own] == list(zip(pairs.entry_a, pairs.entry_b, strict=True))
    for row, difference, verdict in zip(own, pairs.difference, pairs.verdict, strict=True):
        assert same(row["difference"], difference)
        assert row["verdict"] == verdict


def test_patients_are_means_of_the_per_case_records(written):
    (own,) = [one for one in written.data["patients"] if one["checkpoint"] == "last"]
    values: dict[str, dict[str, list[float]]] = {}
    for folder in selected_of(written.store):
        if folder.done and folder.require_result().status == "ok":
            cell = f"{folder.run.method}@{folder.run.labelled or 'all'}"
            for case in cases_of(folder).query("checkpoint == 'last'").to_dict("records"):
                values.setdefault(cell, {}).setdefault(case["patient"], []).append(case["dice"])
    assert set(own["cells"]) == set(values)
    for cell, by_patient in values.items():
        assert own["patients"] == sorted(by_patient)
        assert own["cells"][cell] == pytest.approx([fmean(by_patient[name]) for name in own["patients"]], rel=1e-5)


def test_failed_runs_are_named(written):
    (failed,) = [unpacked(one["runs"]) for one in written.data["failed"]]
    assert [(one["entry"], one["labelled"], one["subset"], one["seed"]) for one in failed] == [FAILED]
    assert failed[0]["failure_reason"] == "loss became NaN at step 17"


def test_the_budget_adds_up(written):
    (budget,) = written.data["budgets"]
    results = [folder.require_result() for folder in selected_of(written.store) if folder.done]
    searched = trials()
    total = sum(one.spent.useful_device_seconds + one.spent.lost_device_seconds for one in results)
    total += float(searched["useful_device_seconds"].sum() + searched["lost_device_seconds"].sum())
    kinds = ("useful", "failed", "lost", "search")
    assert sum(one["device"][kind] for one in budget["methods"].values() for kind in kinds) == pytest.approx(total)
    mc_net, ua_mt = (budget["methods"][name]["device"] for name in ("mc_net", "ua_mt"))
    assert mc_net["search"] == pytest.approx(19 * 60.0 + 6.0)
    assert mc_net["lost"] == pytest.approx(29.97 + 2.5)  # a tenth of an interrupted run, and what a trial lost
    assert ua_mt["failed"] == pytest.approx(0.1 * 0.999 * 300)
    assert (mc_net["trials"], mc_net["runs"], ua_mt["runs"]) == (20, 3, 4)
    wall = sum(sum(one.wall_seconds.values()) for one in results)
    assert sum(sum(one["wall"].values()) for one in budget["methods"].values()) == pytest.approx(wall, rel=1e-5)
    assert budget["phases"][0] == "train"
    assert budget["phases"][-1] == "unaccounted"


def test_groups_are_the_tables(written):
    assert [(one["table"], one["labelled"], one["title"]) for one in written.data["groups"]] == [
        (1, 3, "3 labelled patients"), (1, 7, "7 labelled patients"),
    ]  # fmt: skip


def test_methods_differ_in_colour_or_shape_and_references_have_neither():
    names = [f"m{i:02d}" for i in range(30)]
    rows = pd.DataFrame({"entry": [*names, "supervised_full"], "block": ["ranked"] * 30 + ["reference"]})
    marks = styles(rows)
    assert marks.pop("supervised_full") == {"colour": None, "shape": None}
    assert len({(mark["colour"], mark["shape"]) for mark in marks.values()}) == 30
    assert [marks[name]["colour"] for name in names[: len(PALETTE)]] == list(range(len(PALETTE)))


@pytest.mark.parametrize(
    ("cell", "value"),
    [(math.nan, None), (pd.NA, None), (math.inf, None), (1 / 3, 0.333333), (1813764.0, 1813764), (3, 3), ("a", "a"),
     (True, True), (None, None)],
)  # fmt: skip
def test_cells(cell, value):
    assert plain(cell) == value
    assert isinstance(plain(cell), bool) is isinstance(cell, bool)


def test_words_are_written_once():
    frame = pd.DataFrame({"a": ["x", "y", "x", None], "b": [1.5, math.nan, 2.0, 3.0]})
    assert columns(frame) == {
        "a": {"of": ["x", "y", None], "at": [0, 1, 0, 2]}, "b": [1.5, None, 2, 3],
    }  # fmt: skip

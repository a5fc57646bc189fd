from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.leaderboard.break_even import build_break_even
from harness.leaderboard.inputs import read_input
from harness.leaderboard.results import build_results
from harness.records.reader import SuiteRecords
from harness.stats.bootstrap import Floats
from harness.stats.break_even import NOT_DETERMINED, NOT_WITHIN, WITHIN
from harness.stats.families import read_family
from tests.synthetic import RunSpec, board_of, write_records

RUNGS = (500, 2000, 8000)
SPEC = RunSpec(
    methods={"supervised": 0.0, "late": 0.0, "early": 1.0, "noise": 0.0, "fades": 1.0, "supervised_full": 0.0},
    rung_gains={("late", 2000): 1.0, ("late", 8000): 1.0, ("fades", 8000): -1.0},
    labelled=(3,), seeds=3, patients=16, phases=(None,), classes=("LV",), validations=1, history_steps=1,
    missed_share=0.0, ladder=RUNGS,
)  # fmt: skip


FEW = replace(SPEC, methods={"supervised": 0.0, "fades": 1.0}, rung_gains={("fades", 2000): -1.0}, ladder=(500, 2000))


def frame_of(folder, **changes):
    inputs = read_input(SuiteRecords(write_records(folder / "s", replace(FEW, **changes))))
    return build_break_even(inputs, build_results(inputs))


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    return board_of(write_records(tmp_path_factory.mktemp("runs") / "s", SPEC))


def verdicts(frame):
    rows = frame[frame["checkpoint"] == "last"].drop_duplicates("entry")
    return {
        entry: (None if pd.isna(rung) else int(rung), verdict)
        for entry, rung, verdict in rows[["entry", "break_even", "verdict"]].itertuples(index=False)
    }


def test_each_entry_has_the_rung_from_which_on_it_gains(board):
    assert verdicts(board.break_even) == {
        "early": (500, WITHIN), "late": (2000, WITHIN), "noise": (None, NOT_WITHIN), "fades": (None, NOT_WITHIN),
    }  # fmt: skip


def test_intervals_are_those_of_all_pairs_on_all_rungs(board):
    """The family of 10 pairs on 3 rungs, put together again from the scores."""
    columns: list[Floats] = []
    place: dict[tuple[int, str, str], int] = {}
    for comparison in board.inputs.comparisons:
        scores = {key[2]: own.by_patient for key, own in comparison.scores.items() if key[:2] == ("dice", "last")}
        ranked = sorted({cell for cell in scores if not cell.endswith("@all")})
        for i, first in enumerate(ranked):
            for second in ranked[i + 1 :]:
                place[comparison.rung, first, second] = len(columns)
                columns.append(scores[first] - scores[second])
    family = np.stack(columns, axis=1)
    assert family.shape == (16, 30)
    readings = read_family(family, np.zeros_like(family))
    rows = board.break_even[board.break_even["checkpoint"] == "last"]
    assert len(rows) == 4 * len(RUNGS)
    for row in rows.to_dict("records"):
        reading = readings[place[row["rung"], f"{row['entry']}@3", "supervised@3"]]  # each name precedes supervised
        assert row["difference"] == pytest.approx(reading.difference)
        assert row["simultaneous_low"] == pytest.approx(reading.simultaneous_low)
        assert row["p_holm"] == pytest.approx(reading.p_holm)
        assert row["ahead"] == (reading.significant and reading.difference > 0)


def test_a_rung_without_runs_is_passed_over(tmp_path):
    assert verdicts(frame_of(tmp_path / "all")) == {"fades": (None, NOT_WITHIN)}
    frame = frame_of(tmp_path / "less", unrun={2000})
    assert verdicts(frame) == {"fades": (500, WITHIN)}, "it loses its lead on the rung that has not run"
    assert frame.query("rung == 2000")["ahead"].isna().all()


@pytest.mark.parametrize(("entry", "expected"), [("fades", (None, NOT_WITHIN)), ("supervised", (None, NOT_DETERMINED))])
def test_a_failed_entry_is_not_ahead_and_without_the_baseline_nobody_is(tmp_path, entry, expected):
    frame = frame_of(tmp_path, failed={(entry, 3, 0, 1)}, rung_gains={})
    assert verdicts(frame) == {"fades": expected}


def test_every_entry_that_saw_labelled_images_alone_is_a_baseline(board):
    comparisons = []
    for comparison in board.inputs.comparisons:
        own = comparison.runs["entry"] == "late"
        seen = comparison.runs["labelled_images_seen"].mask(own, comparison.runs["images_seen"])
        comparisons.append(replace(comparison, runs=comparison.runs.assign(labelled_images_seen=seen)))
    frame = build_break_even(replace(board.inputs, comparisons=tuple(comparisons)), board.results)
    assert set(frame["baseline"]) == {"supervised", "late"}
    assert verdicts(frame) == dict.fromkeys(("early", "noise", "fades"), (None, NOT_WITHIN))

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from harness.records.reader import SuiteRecords
from harness.tracking.content import run_content
from harness.tracking.parents import entry_content, mean_curve
from harness.tracking.series import Span, case_metrics, history_points
from harness.tracking.tracked import TrackedSuite
from tests.synthetic import RunSpec, rung_budget
from tests.tracking.view import SEARCHED, small_suite

SPAN = Span(1_000, 2_000)


def suite_of(store):
    return TrackedSuite(SuiteRecords(store))


def finished(store):
    return suite_of(store).runs


def values(content):
    return {point.name: point.value for point in content.points}


def cases(**columns):
    rows = {
        "checkpoint": "last",
        "case": ["p1_ED", "p2_ED", "p1_ED", "p2_ED"],
        "patient": ["p1", "p2", "p1", "p2"],
        "class_name": ["RV", "RV", "Myo (wall)", "Myo (wall)"],
        "dice": [1.0, 0.5, 0.25, 0.25],
        **dict.fromkeys(("jaccard", "nsd_voxel", "hd95_voxel", "asd_voxel", "assd_voxel"), 2.0),
        **dict.fromkeys(("nsd_mm", "hd95_mm", "asd_mm", "assd_mm"), None),
        "missed": [False, False, True, False],
        "spurious": False,
    }
    return pd.DataFrame({**rows, **columns})


def test_means_by_class_and_over_classes_by_hand():
    found = case_metrics(cases())
    assert [found[f"test/last/dice{name}"] for name in ("/RV", "/Myo _wall_", "")] == [0.75, 0.25, 0.5]
    assert (found["test/last/n_missed"], found["test/last/n_missed/RV"]) == (1, 0)
    uneven = case_metrics(cases(patient=["p1", "p1", "p1", "p2"], class_name="RV", dice=[0.0, 0.0, 0.3, 0.9]))
    assert uneven["test/last/dice"] == pytest.approx((0.1 + 0.9) / 2), "a patient with more cases weighs no more"


@pytest.mark.parametrize("millimetres", [[None] * 4, [1.0, 1.0, 1.0, None]])
def test_a_distance_unknown_for_any_case_has_no_mean(millimetres):
    found = case_metrics(cases(hd95_mm=millimetres, asd_mm=3.0))
    assert "test/last/hd95_mm" not in found
    assert found["test/last/asd_mm"] == 3.0


def test_history_points_have_real_steps_and_times_and_drop_what_is_not_finite():
    history = pd.DataFrame({
        "step": [0, 1, 2, 3], "progress_run": [0.0, 0.25, 0.5, 1.0], "learning_rate": 0.01,
        "loss": [1.0, np.nan, np.inf, 0.5], "term/dice": [np.nan, np.nan, 0.2, 0.1],
    })  # fmt: skip
    points = list(history_points(history, SPAN))
    assert [(p.value, p.step, p.at_ms) for p in points if p.name == "train/loss"] == [(1.0, 0, 1000), (0.5, 3, 2000)]
    assert [p.step for p in points if p.name == "train/term/dice"] == [2, 3]
    assert [p.at_ms for p in points if p.name == "train/progress"] == [1000, 1250, 1500, 2000]


def test_a_search_run_has_its_validation_dice_and_never_a_test_split(tmp_path):
    searched = [run for run in finished(small_suite(tmp_path, SEARCHED)) if run.is_search]
    assert len(searched) == 3
    for run in searched:
        content = run_content(run)
        assert (content.status, content.tags["role"]) == ("FINISHED", "search")
        assert values(content)["validation_dice"] == run.result.validations[-1].mean_dice
        assert not [name for name in values(content) if name.startswith("test/")]
        assert [one.context for one in content.inputs] == ["train", "validation"]


def test_a_ladder_has_means_of_each_rung(tmp_path):
    spec = RunSpec(
        methods={"ua_mt": 0.1}, labelled=(3,), seeds=2, patients=2, validations=1, history_steps=1, ladder=(500, 2000),
        rung_gains={("ua_mt", 2000): 1.0},
    )  # fmt: skip
    suite = suite_of(small_suite(tmp_path, spec))
    contents = [run_content(run) for run in suite.runs]
    assert {content.name: content.tags["rung"] for content in contents} == {
        f"ua_mt/3/0/{seed}/{rung}": str(rung) for seed in (0, 1) for rung in (500, 2000)
    }
    found = values(entry_content(suite, "ua_mt"))
    for rung in (500, 2000):
        dice = [run.test_metrics["test/last/dice"] for run in suite.runs if run.rung == rung]
        assert found[f"dice/labelled_3_rung_{rung}"] == pytest.approx(np.mean(dice))
        assert found[f"labelled_3_rung_{rung}/n_ok"] == 2
    assert "dice/labelled_3" not in found


def test_a_mean_never_holds_two_budgets(tmp_path):
    mixed = RunSpec(
        methods={"ua_mt": 0.1},
        seeds=2,
        patients=2,
        history_steps=3,
        overrides={("ua_mt", 3, 0, 1): {"method_version": 2}},
    )
    store = small_suite(tmp_path, mixed)
    content = entry_content(suite_of(store), "ua_mt")
    assert "labelled_3/test/last/dice" not in values(content)
    assert "labelled_7/test/last/dice" in values(content)
    assert content.tags["labelled_3.means"].startswith("none")


def test_equal_reference_steps_have_a_mean_whatever_steps_and_machines_they_are(tmp_path):
    several = RunSpec(
        methods={"ua_mt": 0.1}, labelled=(3,), seeds=2, patients=2, history_steps=3, budget=rung_budget(500),
        overrides={("ua_mt", 3, 0, 1): {"budget": rung_budget(400).model_copy(update={"reference_steps": 500})}},
        environments={("ua_mt", 3, 0, 1): RunSpec().environment.model_copy(update={"device_model": "another CPU"})},
    )  # fmt: skip
    suite = suite_of(small_suite(tmp_path, several))
    assert values(entry_content(suite, "ua_mt"))["labelled_3/n_ok"] == 2


def test_a_validation_that_one_run_skipped_shifts_no_curve(tmp_path):
    spec = RunSpec(methods={"ua_mt": 0.1}, labelled=(3,), seeds=2, patients=2, validations=4, history_steps=1)
    first, second = finished(small_suite(tmp_path, spec))
    whole = list(mean_curve("curve", (first, second), SPAN))
    kept = [each for each in second.result.validations if each.validation != 1]
    skipping = replace(second, result=second.result.model_copy(update={"validations": kept}))
    assert list(mean_curve("curve", (first, skipping), SPAN)) == [whole[0], *whole[2:]]

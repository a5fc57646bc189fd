from typing import Any

import numpy as np
import pytest

from harness.api import UsageError
from harness.data.permit import TestPermit
from harness.evaluation import evaluate
from harness.evaluation.metrics import Tolerance, case_metrics
from harness.evaluation.predict import keep_largest, predict_windows
from harness.train import environment
from tests.support import call_cli, cases_of
from tests.train.test_run import result_of
from tests.train.tiny import train

pytestmark = pytest.mark.slow

STAGED = "tiny_staged/2/0/0"
STEPS = 24
VOLUMES: dict[str, Any] = {
    "dataset": "tiny_balls",
    "preprocessing": {"size": [16, 16, 16]},
    "budget": {"steps": STEPS},
    "engine": {"validations": 4, "window_stride": [4, 4, 4], "validation_stride": [16, 16, 16]},
}
METHODS: dict[str, dict[str, Any]] = {"tiny_staged": {}, "tiny_floor": {}, "tiny_ceiling": {}}


@pytest.fixture(scope="module")
def whole(make_tiny):
    tiny = make_tiny(METHODS, **VOLUMES)
    command = ("run", "--suite", tiny.suite, "--runs", tiny.runs, "--no-track", "--executor", "inline")
    call_cli(*command, env=tiny.environment, cwd=tiny.root)
    assert (tiny.store / "leaderboard" / "leaderboard.csv").exists()
    return tiny


def test_records_are_those_of_volumes(whole):
    folder = whole.folder(STAGED)
    result = result_of(folder)
    assert (result.images_seen, result.labelled_images_seen) == (4 * STEPS, 4 * 6 + 2 * 18)
    assert [validation.validation for validation in result.validations] == [1, 2, 3, 4]
    shapes = {name: labels.shape for name, labels in folder.predictions().items()}
    assert shapes == {"p8": (28, 19, 22), "p9": (29, 18, 23)}, "native"
    assert result.observed.images == {"same": 16, "mixed": 0, "altered": 0}


def test_metrics_are_native_and_follow_from_the_predictions(whole):
    folder, session = whole.folder(STAGED), whole.session()
    permit = TestPermit(session.store.selection_path, folder.id, folder.path / "final.json")
    rows = cases_of(folder).query("checkpoint == 'last'").set_index(["case", "class_name"])
    for case in session.cache.test_cases(permit):
        again = case_metrics(
            folder.predictions()[case.id], case.label, ("bright", "dim"), case.spacing_mm, Tolerance(1.0, 2.0)
        )
        for name, metrics in again.items():
            assert rows.loc[(case.id, name), "dice"] == pytest.approx(metrics.dice, rel=2**-16)
            assert rows.loc[(case.id, name), "hd95_mm"] == pytest.approx(metrics.hd95_mm, rel=2**-13)


def test_validations_and_test_use_their_own_strides(make_tiny, monkeypatch):
    asked = []
    real = predict_windows

    def watching(*arguments):
        asked.append((len(arguments[1]), arguments[3]))
        return real(*arguments)

    monkeypatch.setattr(evaluate, "predict_windows", watching)
    tiny = make_tiny(
        {"tiny_floor": {}}, **{**VOLUMES, "budget": {"steps": 2}, "engine": {**VOLUMES["engine"], "validations": 1}}
    )
    train(tiny, "tiny_floor/2/0/0")
    validation, unlabelled, test = 2, 4, 2
    assert asked == [(validation, (16, 16, 16)), (unlabelled, (16, 16, 16)), (test, (4, 4, 4))]


@pytest.mark.parametrize(("preprocessing", "engine"), [({"shrink": 2}, {}), ({}, {"largest_component": True})], ids=str)
def test_other_settings_end_well_and_are_other_runs(preprocessing, engine, make_tiny, whole, monkeypatch):
    monkeypatch.setattr(environment, "has_native_bfloat16", lambda: True)  # emulated it is slow, and no other
    changes = {
        **VOLUMES,
        "preprocessing": {**VOLUMES["preprocessing"], **preprocessing},
        "engine": {**VOLUMES["engine"], **engine},
    }
    tiny = make_tiny({"tiny_staged": {}}, **changes)
    folder = tiny.folder(STAGED)
    assert folder.id != whole.folder(STAGED).id
    assert train(tiny, STAGED).status == "ok"
    predicted = folder.predictions()
    assert predicted["p8"].shape == (28, 19, 22)
    if engine.get("largest_component"):
        for case, labels in whole.folder(STAGED).predictions().items():
            np.testing.assert_array_equal(predicted[case], keep_largest(labels))


def test_windows_that_leave_gaps_are_refused_before_anything_runs(make_tiny):
    tiny = make_tiny({"tiny_floor": {}}, **{**VOLUMES, "engine": {"validation_stride": [16, 17, 16]}})
    with pytest.raises(UsageError, match=r"tiny.yaml:\d+: engine.validation_stride: steps of .* leave gaps"):
        tiny.session()


def test_patches_of_which_bfloat16_gradients_are_wrong_are_refused(make_tiny, monkeypatch):
    """The V-Net's maps come to two voxels along the first axis: refused while it warms up, before a step counts."""
    monkeypatch.setattr(environment, "has_native_bfloat16", lambda: True)
    changes = {
        **VOLUMES,
        "preprocessing": {"size": [16, 32, 16]},
        "engine": {**VOLUMES["engine"], "precision": "bfloat16", "warmup_steps": 1},
    }
    tiny = make_tiny({"supervised": {}}, **changes)
    with pytest.raises(UsageError, match=r"wrong gradients on a CPU for maps of \(2, [24], [12]\) voxels"):
        train(tiny, "supervised/2/0/0")
    assert tiny.folder("supervised/2/0/0").ledger.spent().useful_steps == 0

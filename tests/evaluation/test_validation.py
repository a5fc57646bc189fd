from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from harness.api import Case, Task
from harness.evaluation.evaluate import case_rows, dice_by_class, load_volumes, mean_dice, predict_all
from harness.evaluation.metrics import Tolerance, case_metrics
from harness.evaluation.predict import keep_largest
from harness.records.schema import Engine, Preprocessing
from tests.data.preprocessed import preprocessed

NAMES = ("background", "RV", "Myo", "LV")


@given(seed=st.integers(0, 2**32 - 1), n_classes=st.integers(2, 256), empty=st.floats(0, 1))
def test_dice_is_to_the_bit_that_of_the_test(seed, n_classes, empty):
    rng = np.random.default_rng(seed)
    prediction, truth = (
        np.where(rng.random((3, 7, 8)) < empty, 0, rng.integers(0, n_classes, (3, 7, 8))).astype(np.uint8)
        for _ in range(2)
    )
    truth = np.where(rng.random(truth.shape) < 0.5, prediction, truth)
    names = [str(value) for value in range(1, n_classes)]
    expected = [metrics.dice for metrics in case_metrics(prediction, truth, names, None, Tolerance(1.0, 2.0)).values()]
    assert dice_by_class(torch.from_numpy(prediction), torch.from_numpy(truth), n_classes).tolist() == expected


class Thresholds(nn.Module):
    def forward(self, images):
        return -(images - torch.tensor([0.125, 0.375, 0.625, 0.875])[:, None, None]).abs()


@pytest.mark.parametrize("largest", [False, True])
def test_a_validation_is_the_mean_of_whole_native_volumes_and_rows_hold_all_metrics(largest):
    rng = np.random.default_rng(0)
    cases = [
        Case(name, name, "val", rng.random(shape, np.float32), rng.integers(0, 4, shape, np.uint8), spacing, phase)
        for name, shape, spacing, phase in (("a", (3, 40, 50), (8.0, 1.5, 1.0), "ED"), ("b", (5, 33, 47), None, "ES"))
    ]
    task, engine = Task("slices", 2, 1, NAMES, (32, 32)), Engine(largest_component=largest, nsd_tolerance_mm=1.2)
    volumes = load_volumes(preprocessed(cases, Preprocessing(size=(32, 32))), torch.device("cpu"))
    predicted = predict_all(Thresholds(), volumes, task, engine)
    labels, tolerance = list(predicted.values()), Tolerance(1.0, 1.2)
    assert largest is all(np.array_equal(each, keep_largest(each)) for each in labels)
    pairs = zip(labels, cases, strict=True)
    by_case = [case_metrics(each, case.label, NAMES[1:], case.spacing_mm, tolerance) for each, case in pairs]
    expected = {name: np.mean([metrics[name].dice for metrics in by_case]) for name in NAMES[1:]}
    assert mean_dice(Thresholds(), volumes, task, engine) == expected
    assert mean_dice(Thresholds(), [], task, engine) == {}
    rows = case_rows(predicted, volumes, task, engine, "best_val")
    heads = [{"checkpoint": "best_val", "case": c.id, "patient": c.patient, "phase": c.phase} for c in cases]
    wanted = [
        head | {"class_name": name} | asdict(own)
        for head, metrics in zip(heads, by_case, strict=True)
        for name, own in metrics.items()
    ]
    pd.testing.assert_frame_equal(rows, pd.DataFrame(wanted))


def test_cases_that_nobody_labelled_are_compared_with_nothing():
    image, blank = np.random.default_rng(0).random((2, 20, 20), np.float32), np.zeros((2, 20, 20), np.uint8)
    cases = [Case(name, name, "train", image, blank, None, None, annotated=name != "b") for name in "abc"]
    data = preprocessed(cases, Preprocessing(size=(16, 16)))
    assert [volume.case.id for volume in load_volumes(data, torch.device("cpu"))] == ["a", "c"]
    assert [volume.case.id for volume in load_volumes(data, torch.device("cpu"), {"b", "c"})] == ["c"]

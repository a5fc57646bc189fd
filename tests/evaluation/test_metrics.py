import importlib
import importlib.util
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import ndimage

from harness.evaluation.metrics import ClassMetrics, Tolerance, case_metrics
from tests.support import require

TOLERANCE = Tolerance(voxels=1.0, mm=2.0)


@pytest.fixture(scope="session")
def medpy():
    """MedPy's binary metrics, the field's own code: an oracle of these tests, never loaded at run time."""
    require("medpy", importlib.util.find_spec("medpy") is not None, "MedPy is not installed")
    return importlib.import_module("medpy.metric.binary")


@st.composite
def masks(draw):
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=2, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    pair = tuple(_mask(rng, shape, draw(st.sampled_from(["noise", "box", "blob", "full"]))) for _ in range(2))
    assume(pair[0].any() and pair[1].any())
    return pair[0], pair[1]


def _mask(rng, shape, kind):
    mask = np.zeros(shape, dtype=bool)
    if kind == "noise":
        return rng.random(shape) < float(rng.choice([0.02, 0.2, 0.7]))
    if kind == "blob":
        return ndimage.gaussian_filter(rng.standard_normal(shape), 1.5) > 0
    corners = [sorted(rng.integers(0, side + 1, 2)) if kind == "box" else [0, side] for side in shape]
    mask[tuple(slice(low, high) for low, high in corners)] = True
    return mask


def spacing_for(dimension, kind):
    return {"unknown": None, "isotropic": (0.625,) * dimension, "thick": (10.0, 1.4, 1.3)[:dimension]}[kind]


KINDS = st.sampled_from(["unknown", "isotropic", "thick"])


def points(*positions, shape):
    mask = np.zeros(shape, dtype=bool)
    mask[tuple(np.array(positions).T)] = True
    return mask


def class_metrics(prediction, truth, spacing, tolerance=TOLERANCE):
    return case_metrics(prediction.astype(np.uint8), truth.astype(np.uint8), ["own"], spacing, tolerance)["own"]


# By hand


@pytest.mark.parametrize("spacing", [(0.2, 0.2), (0.2, 0.3)])
@pytest.mark.parametrize("first", range(8))
def test_a_distance_that_equals_the_tolerance_is_within_wherever_it_lies(spacing, first):
    prediction, truth = points((first, 0), shape=(20, 1)), points((first + 10, 0), shape=(20, 1))
    assert class_metrics(prediction, truth, spacing).nsd_mm == 1.0  # 10 x 0.2 mm, of which 2 are allowed
    assert class_metrics(prediction, truth, spacing, Tolerance(9.99, 1.999)).nsd_mm == 0.0


# Empty masks


@pytest.mark.parametrize("spacing", [None, (10.0, 1.5, 2.0)])
def test_both_empty_is_perfect(spacing):
    nothing = np.zeros((2, 3, 4), dtype=bool)
    mm = None if spacing is None else 0.0
    nsd_mm = None if spacing is None else 1.0
    assert class_metrics(nothing, nothing, spacing) == ClassMetrics(
        1.0, 1.0, nsd_mm, 0.0, 0.0, 0.0, mm, mm, mm, False, False, 0, 0
    )


@pytest.mark.parametrize("spacing", [None, (2.0, 1.0, 1.0)])
def test_one_empty_is_the_diagonal_of_the_whole_volume(spacing):
    # sqrt(3^2 + 4^2 + 12^2) = 13 voxels; with slices of 2 mm sqrt(6^2 + 4^2 + 12^2) = 14 mm.
    nothing, something = np.zeros((3, 4, 12), dtype=bool), points((1, 2, 3), (1, 2, 4), shape=(3, 4, 12))
    mm = None if spacing is None else 14.0
    nsd_mm = None if spacing is None else 0.0
    missed = ClassMetrics(0.0, 0.0, nsd_mm, 13.0, 13.0, 13.0, mm, mm, mm, True, False, 2, 0)
    assert class_metrics(nothing, something, spacing) == missed
    spurious = replace(missed, missed=False, spurious=True, voxels_true=0, voxels_predicted=2)
    assert class_metrics(something, nothing, spacing) == spurious
    beside = class_metrics(np.roll(something, 2, axis=0), something, spacing)
    assert (beside.dice, beside.missed, beside.spurious) == (0.0, False, False), "it was found, if elsewhere"


# Re-derived from the definitions


def surface(mask, scale):
    """Places of voxels of which some face-neighbour is not one of the mask."""
    inside = {tuple(map(int, position)) for position in np.argwhere(mask)}
    steps = [tuple(sign * (axis == k) for k in range(mask.ndim)) for axis in range(mask.ndim) for sign in (-1, 1)]
    rim = [p for p in inside if any(tuple(map(sum, zip(p, step, strict=True))) not in inside for step in steps)]
    return [tuple(np.multiply(position, scale)) for position in rim]


@pytest.mark.slow
@given(pair=masks(), kind=KINDS)
def test_surface_metrics_follow_their_definitions(pair, kind):
    spacing = spacing_for(pair[0].ndim, kind)
    metrics = class_metrics(pair[0], pair[1], spacing)
    units = {"voxel": ((1.0,) * pair[0].ndim, TOLERANCE.voxels)} | ({"mm": (spacing, TOLERANCE.mm)} if spacing else {})
    for unit, (scale, limit) in units.items():
        ours, theirs = (surface(mask, scale) for mask in pair)
        forward = [min(math.dist(a, b) for b in theirs) for a in ours]
        pooled = forward + [min(math.dist(a, b) for a in ours) for b in theirs]
        assert getattr(metrics, f"asd_{unit}") == pytest.approx(np.mean(forward), abs=1e-9)
        assert getattr(metrics, f"assd_{unit}") == pytest.approx(np.mean(pooled), abs=1e-9)
        assert getattr(metrics, f"hd95_{unit}") == pytest.approx(np.percentile(pooled, 95), abs=1e-9)
        assert getattr(metrics, f"nsd_{unit}") == np.mean(np.array(pooled) <= limit)


# MedPy


@given(pair=masks(), kind=KINDS)
def test_equals_medpy(medpy, pair, kind):
    (prediction, truth), spacing = pair, spacing_for(pair[0].ndim, kind)
    metrics = class_metrics(prediction, truth, spacing)
    assert metrics.dice == pytest.approx(medpy.dc(prediction, truth), abs=1e-6)
    assert metrics.dice / (2 - metrics.dice) == pytest.approx(medpy.jc(prediction, truth), abs=1e-6)  # as read_cases
    for name in ("hd95", "asd", "assd"):
        function = getattr(medpy, name)
        assert getattr(metrics, f"{name}_voxel") == pytest.approx(function(prediction, truth), abs=1e-6)
        mm = None if spacing is None else pytest.approx(function(prediction, truth, voxelspacing=spacing), abs=1e-6)
        assert getattr(metrics, f"{name}_mm") == mm


# Whole cases


@given(seed=st.integers(0, 2**32 - 1), kind=KINDS, crowded=st.booleans())
def test_a_case_is_its_classes_one_by_one(seed, kind, crowded):
    rng, spacing = np.random.default_rng(seed), spacing_for(3, kind)
    prediction, truth = (rng.integers(0, 4, (3, 7, 8)).astype(np.uint8) for _ in range(2))
    if not crowded:
        prediction[rng.random(prediction.shape) < 0.95] = 0
        truth[rng.random(truth.shape) < 0.97] = 0
    case = case_metrics(prediction, truth, ["RV", "Myo", "LV"], spacing, TOLERANCE)
    assert list(case) == ["RV", "Myo", "LV"]
    for value, metrics in enumerate(case.values(), start=1):
        assert metrics == class_metrics(prediction == value, truth == value, spacing)


# Wrong arguments


def test_shapes_that_differ_are_refused():
    # (1, 4) would broadcast against (3, 4) without a word.
    small, large = np.ones((1, 4), dtype=np.uint8), np.ones((3, 4), dtype=np.uint8)
    for first, second in itertools.permutations((small, large)):
        with pytest.raises(ValueError, match="differ in shape"):
            case_metrics(first, second, ["a"], None, TOLERANCE)

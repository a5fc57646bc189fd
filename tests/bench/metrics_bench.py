"""Metrics against MedPy on real label maps, side by side in one run: 20 validation volumes of ACDC, the 20 test volumes
of LA.

    python -m tests.bench.metrics_bench --data DIR      (DIR: ACDC in the h5 layout, or LA in UA-MT's, or a folder that
                                                         holds ACDC and LA; default: $HARNESS_DATA)

Each volume is timed with both, in turns, on the same distorted label map: ours as `case_metrics` computes all metrics
of all classes, MedPy as the field calls it (dc, jc, hd95, asd and assd of each class). Exit code 1 if a value differs
by more than 1e-6 or the goal is missed; without scans or MedPy it says so and ends with 0.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from harness.evaluation.metrics import Tolerance, case_metrics

NAMES = {"dc": "dice", "jc": "jaccard", "hd95": "hd95_voxel", "asd": "asd_voxel", "assd": "assd_voxel"}
TOLERANCE = 1e-6

LabelMap = NDArray[np.uint8]
Values = dict[tuple[str, str], float]


@dataclass(frozen=True)
class Scans:
    """Real label maps. plane: axes of a slice; goal: how many times MedPy's speed is promised."""

    name: str
    classes: tuple[str, ...]
    plane: tuple[int, int]
    goal: float
    labels: Sequence[LabelMap]

    def size(self, in_plane: Sequence[int]) -> tuple[int, ...]:
        """A box of so many pixels in plane, one slice thick."""
        size = [1, 1, 1]
        size[self.plane[0]], size[self.plane[1]] = in_plane
        return tuple(size)


@dataclass(frozen=True)
class Timing:
    """One volume under one distortion: process seconds of both and the largest difference between their values."""

    ours_seconds: float
    medpy_seconds: float
    difference: float


def shifted(scans: Scans, truth: LabelMap, rng: np.random.Generator) -> LabelMap:
    """A good prediction: the truth moved by up to 3 pixels in plane."""
    return np.roll(truth, tuple(rng.integers(-3, 4, 2)), axis=scans.plane)


def dilated(scans: Scans, truth: LabelMap, rng: np.random.Generator) -> LabelMap:
    """A fat prediction: shifted, and its outer border grown by up to 3 pixels in plane."""
    moved = shifted(scans, truth, rng)
    width = 2 * int(rng.integers(1, 4)) + 1
    return np.where(moved == 0, ndimage.grey_dilation(moved, size=scans.size((width, width))), moved)


def scattered(scans: Scans, truth: LabelMap, rng: np.random.Generator) -> LabelMap:
    """An early prediction: dilated, and of each class three blobs anywhere in the volume."""
    prediction = dilated(scans, truth, rng)
    for value in range(1, len(scans.classes) + 1):
        for corner in zip(*(rng.integers(0, side, 3) for side in truth.shape), strict=True):
            size = scans.size(rng.integers(3, 12, 2).tolist())
            prediction[tuple(slice(low, low + side) for low, side in zip(corner, size, strict=True))] = value
    return prediction


DISTORTIONS: tuple[Callable[[Scans, LabelMap, np.random.Generator], LabelMap], ...] = (shifted, dilated, scattered)


def ours(prediction: LabelMap, truth: LabelMap, classes: Sequence[str]) -> Values:
    """The five voxel metrics of every class by this project."""
    case = case_metrics(prediction, truth, classes, None, Tolerance(1.0, 2.0))
    return {(name, short): getattr(metrics, long) for name, metrics in case.items() for short, long in NAMES.items()}


def medpy(prediction: LabelMap, truth: LabelMap, classes: Sequence[str]) -> Values:
    """The same by MedPy, one call a class and metric."""
    binary = importlib.import_module("medpy.metric.binary")
    masks = {name: (prediction == value, truth == value) for value, name in enumerate(classes, start=1)}
    return {(name, short): float(getattr(binary, short)(*pair)) for name, pair in masks.items() for short in NAMES}


Metrics = Callable[[LabelMap, LabelMap, Sequence[str]], Values]


def timed(function: Metrics, prediction: LabelMap, truth: LabelMap, classes: Sequence[str]) -> tuple[Values, float]:
    """The values and the processor seconds they took; a busy neighbour does not count."""
    start = time.process_time()
    values = function(prediction, truth, classes)
    return values, time.process_time() - start


def compare(prediction: LabelMap, truth: LabelMap, classes: Sequence[str], ours_first: bool) -> Timing:
    """Time both on one volume; which goes first alternates, so that neither always finds warm caches."""
    order = (ours, medpy) if ours_first else (medpy, ours)
    results = {function: timed(function, prediction, truth, classes) for function in order}
    (mine, ours_seconds), (theirs, medpy_seconds) = results[ours], results[medpy]
    return Timing(ours_seconds, medpy_seconds, max(abs(mine[key] - theirs[key]) for key in theirs))


def find_scans(root: Path) -> list[Scans]:
    """What `root` holds of ACDC and of LA, itself or in folders of these names."""
    found = []
    for folder in (root, *(root / name for name in ("ACDC", "LA"))):
        if (folder / "val.list").exists():
            names = (folder / "val.list").read_text(encoding="utf-8").split()
            labels = [read_label(folder / "data" / f"{name}.h5") for name in names]
            found.append(Scans("ACDC validation", ("RV", "Myo", "LV"), (1, 2), 12.0, labels))
        elif (folder / "test.list").exists() and any(folder.glob("*/*/mri_norm2.h5")):
            names = (folder / "test.list").read_text(encoding="utf-8").split()
            labels = [read_label(path) for name in names for path in folder.glob(f"*/{name}/mri_norm2.h5")]
            found.append(Scans("LA test", ("LA",), (0, 1), 5.0, labels))
    return found


def read_label(path: Path) -> LabelMap:
    """The label map of one file."""
    with h5py.File(path, locking=False) as volume:
        return np.asarray(volume["label"][:], np.uint8)


def measure(scans: Scans) -> dict[str, list[Timing]]:
    """All volumes under all distortions; the same distortions in every run."""
    for function in (ours, medpy):  # both load their libraries outside the clock
        function(scans.labels[0], scans.labels[0], scans.classes)
    found: dict[str, list[Timing]] = {}
    for distort in DISTORTIONS:
        rng = np.random.default_rng(0)
        found[distort.__name__] = [
            compare(distort(scans, truth, rng), truth, scans.classes, i % 2 == 0)
            for i, truth in enumerate(scans.labels)
        ]
    return found


def line(name: str, timings: Sequence[Timing], goal: float) -> tuple[str, bool]:
    """One row of the table, and whether it meets the goal."""
    ours_seconds, medpy_seconds = (sum(getattr(t, f"{who}_seconds") for t in timings) for who in ("ours", "medpy"))
    difference = max(timing.difference for timing in timings)
    each = 1000.0 / len(timings)
    row = f"{name:<12}{medpy_seconds * each:>12.1f}{ours_seconds * each:>12.1f}{medpy_seconds / ours_seconds:>8.1f}x"
    met = difference <= TOLERANCE and medpy_seconds >= goal * ours_seconds
    return f"{row}{difference:>16.1e}", met


def report(found: dict[str, list[Timing]], goal: float) -> int:
    """Print the table; 0 if every distortion meets the goal, else 1."""
    print(f"{'':<12}{'MedPy':>12}{'ours':>12}{'faster':>9}{'max |diff|':>16}   ms of processor time per volume")
    rows = [line(name, timings, goal) for name, timings in found.items()]
    for row, met in rows:
        print(row if met else f"{row}   MISSED")
    print(f"goal: at least {goal:g}x and no value more than {TOLERANCE:g} off")
    return 0 if all(met for _, met in rows) else 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="metrics_bench", description="Metrics against MedPy on real label maps.")
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("HARNESS_DATA"),
        help="ACDC in the h5 layout, LA in UA-MT's, or both",
    )
    root: Path | None = parser.parse_args(arguments).data
    if importlib.util.find_spec("medpy") is None:
        print("metrics against MedPy: not measured, MedPy is not installed")
        return 0
    if root is None:
        print("metrics against MedPy: not measured, name the scans by --data or HARNESS_DATA")
        return 0
    found = find_scans(root)
    if not found:
        parser.error(f"{root} holds neither ACDC in the h5 layout (val.list) nor LA in UA-MT's (*/ID/mri_norm2.h5)")
    codes = []
    for scans in found:
        what = f"{len(scans.labels)} real {scans.name} volumes, {len(scans.classes)} classes, 5 metrics"
        print(f"metrics against MedPy: {what}")
        codes.append(report(measure(scans), scans.goal))
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main())

"""Scores label maps from elsewhere on the test split, under the metrics of our own runs."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product

import numpy as np
import pandas as pd

from harness.api.dataset import LabelMap
from harness.api.errors import DataError
from harness.data.cache import Cache
from harness.data.permit import ScoringPermit
from harness.evaluation.metric_rows import metric_rows
from harness.evaluation.metrics import Tolerance
from harness.records.manifest import CaseInfo

CHECKPOINT = "last"
"""Which weights made the label maps is not known. Tables read the primary column."""

TURNED = 0.2
"""Dice of the foreground by which mirrored label maps must agree better to be taken for another orientation."""

AXES = "zyx"

Flip = tuple[bool, ...]


def score(
    predicted: Mapping[str, LabelMap], cache: Cache, permit: ScoringPermit, dimension: int, tolerance: Tolerance
) -> pd.DataFrame:
    """Open the test split once and compute every metric, in the columns of a run's cases.parquet.

    Raises `ClosedSplitError` where the use is not on record, and `DataError` where mirrored label maps agree far
    better.
    """
    manifest = cache.manifest
    dice: dict[Flip, list[float]] = {flip: [] for flip in product((False, True), repeat=3)}
    annotated = zip(manifest.of("test"), (case.label for case in cache.test_cases(permit)), strict=True)
    truths = _watched(annotated, predicted, dice)
    rows = metric_rows(predicted, truths, manifest.classes[1:], tolerance, CHECKPOINT)
    _refuse_mirrored(dice, AXES if dimension == 2 else AXES[::-1])
    return rows


def _watched(
    truths: Iterable[tuple[CaseInfo, LabelMap]], predicted: Mapping[str, LabelMap], dice: Mapping[Flip, list[float]]
) -> Iterator[tuple[CaseInfo, LabelMap]]:
    """The truths as they are; the Dice of the foreground of each, however it is mirrored, is put into `dice`."""
    for case, truth in truths:
        ours, theirs = predicted[case.id] > 0, truth > 0
        total = np.count_nonzero(ours) + np.count_nonzero(theirs)
        for flip, own in dice.items():
            flipped = np.flip(ours, tuple(axis for axis, mirrored in enumerate(flip) if mirrored))
            own.append(2.0 * np.count_nonzero(flipped & theirs) / total if total else 1.0)
        yield case, truth


def _refuse_mirrored(dice: Mapping[Flip, list[float]], names: str) -> None:
    means = {flip: float(np.mean(own)) for flip, own in dice.items()}
    best = max(means, key=means.__getitem__)
    as_is = means[(False,) * 3]
    if means[best] > as_is + TURNED:
        axes = " and ".join(axis for axis, mirrored in zip(names, best, strict=True) if mirrored)
        raise DataError(
            f"the label maps lie mirrored along {axes}: the foreground then has Dice {means[best]:.2f} instead of "
            f"{as_is:.2f}. Write them in the orientation of the dataset's images, and score them again"
        )

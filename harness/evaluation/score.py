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

    Raises `ClosedSplitError` where the use is not on record, and `DataError` where the label maps agree far better with
    the annotation when they are mirrored.
    """
    manifest = cache.manifest
    agreement = _Agreement(dimension)
    annotated = zip(manifest.of("test"), (case.label for case in cache.test_cases(permit)), strict=True)
    truths = agreement.watch(annotated, predicted)
    rows = metric_rows(predicted, truths, manifest.classes[1:], tolerance, CHECKPOINT)
    agreement.refuse_mirrored()
    return rows


class _Agreement:
    def __init__(self, dimension: int) -> None:
        self._axes = AXES if dimension == 2 else AXES[::-1]
        self._dice: dict[Flip, list[float]] = {flip: [] for flip in product((False, True), repeat=3)}

    def watch(
        self, truths: Iterable[tuple[CaseInfo, LabelMap]], predicted: Mapping[str, LabelMap]
    ) -> Iterator[tuple[CaseInfo, LabelMap]]:
        """The truths as they are, each looked at."""
        for case, truth in truths:
            ours, theirs = predicted[case.id] > 0, truth > 0
            total = np.count_nonzero(ours) + np.count_nonzero(theirs)
            for flip, dice in self._dice.items():
                flipped = np.flip(ours, tuple(axis for axis, mirrored in enumerate(flip) if mirrored))
                dice.append(2.0 * np.count_nonzero(flipped & theirs) / total if total else 1.0)
            yield case, truth

    def refuse_mirrored(self) -> None:
        """Raise `DataError` where some way of mirroring agrees far better."""
        means = {flip: float(np.mean(dice)) for flip, dice in self._dice.items()}
        best = max(means, key=means.__getitem__)
        as_is = means[(False,) * 3]
        if means[best] > as_is + TURNED:
            axes = " and ".join(axis for axis, mirrored in zip(self._axes, best, strict=True) if mirrored)
            raise DataError(
                f"the label maps lie mirrored along {axes}: the foreground then has Dice {means[best]:.2f} instead of "
                f"{as_is:.2f}. Write them in the orientation of the dataset's images, and score them again"
            )

"""A new scan, prepared as those of a dataset that its manifest alone describes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from nibabel.orientations import apply_orientation, ornt_transform

from harness.api.dataset import LabelMap, NewScan
from harness.api.errors import DataError
from harness.api.scans.geometry import Spacing
from harness.data.own.prepare import as_case
from harness.data.own.scan import read_case
from harness.records.manifest import Preparation

RAS = np.array([[0, 1], [1, 1], [2, 1]])
"""nibabel's orientation of an array [X, Y, Z] towards the right, anterior and superior."""


def new_scan(files: Sequence[Path], preparation: Preparation, declared: Spacing | None = None) -> NewScan:
    """A scan prepared as the dataset's own were, and the way back into its file.

    files: of each channel; declared: voxel size in mm along the axes of files whose geometry nobody set. Raises one
    `DataError` for all files that cannot be read or do not fit.
    """
    scan = read_case(files, None, declared)
    if preparation.spacing_mm is not None and scan.spacing is None:
        raise DataError(
            f"{files[0]}: voxel size unknown, and the dataset's volumes were brought to {preparation.spacing_mm} mm; "
            "set it in the header, or give --spacing-mm"
        )
    warnings = list(scan.warnings)
    if scan.oriented != (preparation.orientation == "RAS"):
        says = "says directions, those of the dataset's do not" if scan.oriented else "says no directions, theirs do"
        warnings.append(f"its header {says}: it may lie otherwise than the scans that were learnt from")
    if not np.isfinite(scan.image).all():
        raise DataError(f"{files[0]}: holds values that are not finite; replace the file")
    try:
        case = as_case(scan, preparation, files[0].name, files[0].name, "test")
    except DataError as error:
        raise DataError(f"{files[0]}: {error}") from None

    def restore(labels: LabelMap) -> LabelMap:
        placed = labels.transpose(np.argsort(preparation.axes).tolist())
        if scan.turn is None:
            return placed
        back: LabelMap = apply_orientation(placed, ornt_transform(RAS, scan.turn))
        return back

    return NewScan(case.image, case.spacing_mm, restore, tuple(warnings), case.grid)

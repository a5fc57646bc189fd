"""LA: 100 late gadolinium enhanced MRI of the left atrium (Xiong et al., MedIA 67, 2021; the 2018 challenge)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from benchmarks.layouts.crops import Box, Grey, Mask, legacy_crop
from benchmarks.layouts.la_official import OFFICIAL_SIGN, official_folder, official_sources
from benchmarks.layouts.ua_mt import UA_MT_SIGN, ua_mt_folder, ua_mt_sources
from harness.api.dataset import CaseSource, Dataset, NewScan, Split, read_split
from harness.api.errors import DataError, UsageError

LISTS = Path(__file__).parent / "splits" / "la"
TRAIN, TEST = read_split(LISTS / "train.txt"), read_split(LISTS / "test.txt")
HELD_OUT = 8
"""Of the 80 training patients, the last: the published lists have no validation."""


class LA(Dataset):
    """72/8/20 patients, cropped around the ground truth as published.

    Volumes are z-scored over their whole, then cropped; nothing is resampled. The h5 files that the field shares hold
    the publisher's own crops; from the official layout the crop is made here by the same rule, with margins of its
    own, so that the two have different checksums and never share a table. Voxel size is known in the official layout
    alone, where files whose geometry nobody set get the 0.625 mm of the challenge's paper.
    """

    name = "la"
    version = 1
    dimension = 3
    classes = ("background", "LA")
    folder = "la"
    track = "legacy_crop"
    splits: ClassVar[Mapping[Split, tuple[str, ...]]] = {
        "train": TRAIN[:-HELD_OUT],
        "val": TRAIN[-HELD_OUT:],
        "test": TEST,
    }
    slice_axis = 2
    scaling = "standard"
    layouts: ClassVar[tuple[str, ...]] = ("ua_mt-h5", "official")
    layout_signs: ClassVar[Mapping[str, str]] = {"ua_mt-h5": UA_MT_SIGN, "official": OFFICIAL_SIGN}

    def crop(self, patient: str, grey: Grey, label: Mask) -> Box:
        """What is kept of a whole volume of the official layout."""
        return legacy_crop(patient, label)

    def new_scan(self, voxels: NDArray[Any], spacing_mm: tuple[float, float, float] | None, layout: str) -> NewScan:
        """Refused: the networks know volumes that were cropped with the help of their annotation."""
        raise UsageError(
            f"{self.name}: the run learnt from volumes cropped around their annotation, which a new scan has not; "
            "train on la_label_free to predict new scans"
        )

    def recognise(self, root: Path) -> str | None:
        """ua_mt-h5 or official, whichever `root` holds; h5 files lie beside the official ones where UA-MT made them."""
        if "ua_mt-h5" in self.layouts and ua_mt_folder(root) is not None:
            return "ua_mt-h5"
        return "official" if official_folder(root) else None

    def sources(self, root: Path | None) -> Sequence[CaseSource]:
        """One volume of each published patient; whatever is amiss is a source that raises."""
        layout = None if root is None else self.recognise(root)
        if root is None or layout is None:
            raise DataError(f"{root}: holds none of the layouts {', '.join(self.layouts)} of {self.name}")
        homes = {patient: split for split, patients in self.splits.items() for patient in patients}
        if layout == "ua_mt-h5":
            return list(ua_mt_sources(root, homes))
        return list(official_sources(root, homes, self.crop))

"""ACDC: 100 patients, short-axis cine MRI at end-diastole and end-systole (Bernard et al., IEEE TMI 37(11), 2018)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from numpy.typing import NDArray

from benchmarks.layouts.acdc_official import official_folder, official_scan, official_sources
from benchmarks.layouts.ssl4mis import is_ssl4mis, ssl4mis_sources
from harness.api.dataset import SPLITS, CaseSource, Dataset, NewScan, Split, read_split
from harness.api.errors import DataError, UsageError

LISTS = Path(__file__).parent / "splits" / "acdc"


class ACDC(Dataset):
    """The field's 70/10/20 patients, two volumes each, from either of the layouts that hold the same pixels.

    Intensities are min-max scaled to [0, 1] per volume, as SSL4MIS did; nothing is resampled. Voxel spacing and the
    recorded phase are known in the official layout alone.
    """

    name = "acdc"
    version = 1
    dimension = 2
    classes = ("background", "RV", "Myo", "LV")
    splits: ClassVar[Mapping[Split, tuple[str, ...]]] = {s: read_split(LISTS / f"{s}.txt") for s in SPLITS}
    slice_axis: ClassVar[Literal[0, 1, 2] | None] = 0
    scaling: ClassVar[Literal["unit", "standard"] | None] = "unit"
    layouts = ("ssl4mis-h5", "official")
    layout_signs: ClassVar[Mapping[str, str]] = {
        "ssl4mis-h5": "data/patientXXX_frameYY.h5 and data/slices/patientXXX_frameYY_slice_Z.h5",
        "official": "patientXXX/patientXXX_frameYY.nii.gz, its _gt.nii.gz and Info.cfg (also in training/)",
    }

    def recognise(self, root: Path) -> str | None:
        """ssl4mis-h5 or official, whichever `root` holds."""
        if is_ssl4mis(root):
            return "ssl4mis-h5"
        return "official" if official_folder(root) else None

    def sources(self, root: Path | None) -> Sequence[CaseSource]:
        """Two volumes of each published patient; whatever is amiss is a source that raises."""
        homes = {patient: split for split, patients in self.splits.items() for patient in patients}
        if root is not None and is_ssl4mis(root):
            return list(ssl4mis_sources(root, homes))
        folder = None if root is None else official_folder(root)
        if folder is None:
            raise DataError(f"{root}: holds none of the layouts {', '.join(self.layouts)} of {self.name}")
        return list(official_sources(folder, homes))

    def new_scan(self, voxels: NDArray[Any], spacing_mm: tuple[float, float, float] | None, layout: str) -> NewScan:
        """A short-axis scan, slices along the file's third axis, as those of the official layout."""
        if layout != "official":
            raise UsageError(
                f"{self.name}: the run learnt from {layout} files, which record neither voxel size nor axes and grey "
                "values of the scans behind them; train on the official layout to predict new scans"
            )
        return official_scan(voxels, spacing_mm)

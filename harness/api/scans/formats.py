"""Which reader takes which file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from harness.api.errors import DataError
from harness.api.scans.geometry import Geometry
from harness.api.scans.metaimage_file import read_metaimage
from harness.api.scans.nifti_file import read_nifti
from harness.api.scans.nrrd_file import read_nrrd
from harness.api.scans.pair import Read

READERS: Mapping[str, Read] = {
    ".nii.gz": read_nifti,
    ".nii": read_nifti,
    ".nrrd": read_nrrd,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
}
"""By the end of a file's name."""


def read_scan(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Voxels [X, Y, Z] as they lie in a file, and where; `DataError` with the file for a flaw or an unknown format."""
    for ending, read in READERS.items():
        if path.name.endswith(ending):
            return read(path)
    raise DataError(f"{path}: is of none of the formats that are read ({', '.join(READERS)}); convert it to one")

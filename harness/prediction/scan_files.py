"""Scans in a folder: which files are of one scan, and label maps in the same place and format."""

import gzip
import io
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api.dataset import LabelMap
from harness.api.errors import DataError
from harness.api.scans.formats import READERS, read_scan
from harness.api.scans.geometry import Geometry, grid_problems
from harness.api.scans.nifti_file import raw_header
from harness.api.scans.nrrd_file import nrrd_header
from harness.records.files import write_bytes
from harness.records.temporary import temporary_folder

log = logging.getLogger(__name__)

ENDINGS = tuple(READERS)
CHANNEL = re.compile(r"(.+)_(\d{4})")
ANNOTATION = "_gt"
"""What ACDC's own label maps have behind the name of their frame."""
GEOMETRY = ("space", "space dimension", "space directions", "space origin", "space units", "kinds", "spacings", "units")
"""Fields of an NRRD file that say where its voxels lie."""
UINT8 = 2
"""NIfTI's code."""


@dataclass(frozen=True)
class ScanFiles:
    """A scan: its name, and its files in the order of channels."""

    id: str
    files: tuple[Path, ...]


def list_scans(folder: Path, channels: int) -> list[ScanFiles]:
    """The scans in a folder, by name; folders in it are not searched, and NAME_gt beside NAME is an annotation.

    Args:
        folder: Holds files NAME.nii.gz, or NAME_0000.nii.gz, NAME_0001.nii.gz, ... for channels 0, 1, ...
        channels: That each scan should have.

    Raises:
        DataError: There is none, or some have other channels or a name twice, each named.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the folder that holds the scans")
    named: dict[str, list[tuple[int | None, Path]]] = {}
    for path in sorted(path for path in folder.iterdir() if path.name.endswith(ENDINGS) and path.name[0] != "."):
        stem = path.name.removesuffix(_ending_of(path))
        channel = CHANNEL.fullmatch(stem)
        name, number = (channel[1], int(channel[2])) if channel else (stem, None)
        named.setdefault(name, []).append((number, path))
    for name in [name for name in named if name.endswith(ANNOTATION) and name.removesuffix(ANNOTATION) in named]:
        log.info("%s: is an annotation and left out", ", ".join(str(path) for _, path in named.pop(name)))
    if not named:
        below = next((path.parent for path in sorted(folder.glob("*/*")) if path.name.endswith(ENDINGS)), None)
        fix = f", such as {below}: name one, or copy their scans into one folder" if below else ""
        raise DataError(
            f"{folder}: holds no scan; files end with {', '.join(ENDINGS)}, and folders are not searched{fix}"
        )
    scans, problems = [], []
    for name, files in named.items():
        numbers = [number for number, _ in files]
        once = len(set(numbers)) == len(numbers)
        if channels == 1 and once and None not in numbers and 0 not in numbers:  # scan_0007 is a name, not a channel
            scans += [ScanFiles(path.name.removesuffix(_ending_of(path)), (path,)) for _, path in files]
        elif numbers in ([None], [*range(len(files))]) and len(files) == channels:
            scans.append(ScanFiles(name, tuple(path for _, path in files)))
        else:
            listed = ", ".join(path.name for _, path in files)
            wanted = f"{name}_0000 to {name}_{channels - 1:04d}" if channels > 1 else f"{name} or {name}_0000, once"
            problems.append(f"{folder}: {listed}: the run takes {channels} channel(s) a scan, {wanted}")
    if problems:
        raise DataError("\n".join(problems))
    return scans


def _ending_of(path: Path) -> str:
    return next(ending for ending in ENDINGS if path.name.endswith(ending))


def read_channels(files: Iterable[Path]) -> tuple[NDArray[Any], Geometry]:
    """Voxels as they lie in the files, [X, Y, Z], of several channels [C, X, Y, Z], and where they lie.

    Raises `DataError` with the file for whatever is wrong with it, or lies on another grid than the first.
    """
    read = [read_scan(path) for path in files]
    first, geometry = read[0]
    for voxels, other in read[1:]:
        if voxels.shape != first.shape:
            raise DataError(f"{other.path}: has shape {voxels.shape}, its first channel {first.shape}")
        if problems := grid_problems(geometry, other):
            raise DataError("\n".join(problems))
    return (np.stack([voxels for voxels, _ in read]) if len(read) > 1 else first), geometry


def label_name(scan: ScanFiles) -> str:
    """File name of a scan's label map: in the scan's format, in one file."""
    return scan.id + _ending_of(scan.files[0]).replace(".mhd", ".mha")


def write_labels(labels: LabelMap, source: Path, path: Path) -> None:
    """Write a label map [X, Y, Z] where the scan in `source` lies, in its format. Raises `DiskError`."""
    bytes_of = {".nrrd": _nrrd_bytes, ".mha": _metaimage_bytes}.get(path.suffix, _nifti_bytes)
    content = bytes_of(labels, source)
    write_bytes(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def _nifti_bytes(labels: LabelMap, source: Path) -> bytes:
    """The scan's header field by field, so that no reader places the labels elsewhere, and the labels."""
    header = raw_header(source)
    header["datatype"], header["bitpix"] = UINT8, 8
    header["dim"] = [3, *labels.shape, 1, 1, 1, 1]
    header["scl_slope"], header["scl_inter"], header["cal_min"], header["cal_max"] = 1, 0, 0, 0
    header["vox_offset"], header["magic"] = header.sizeof_hdr + 4, header.single_magic
    return bytes(header.binaryblock) + bytes(4) + labels.tobytes(order="F")


def _nrrd_bytes(labels: LabelMap, source: Path) -> bytes:
    import nrrd

    header = {name: value for name, value in nrrd_header(source).items() if name in GEOMETRY}
    file = io.BytesIO()
    nrrd.write(file, labels, header)
    return file.getvalue()


def _metaimage_bytes(labels: LabelMap, source: Path) -> bytes:
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(labels.transpose()))
    image.CopyInformation(SimpleITK.ReadImage(str(source), imageIO="MetaImageIO"))
    with temporary_folder("harness-predict-") as folder:  # the format goes by the file's name
        path = folder / "labels.mha"
        SimpleITK.WriteImage(image, str(path), imageIO="MetaImageIO", useCompression=True)
        return path.read_bytes()

"""A NIfTI file: voxels with nibabel, geometry from the header as it stands.

nibabel repairs a header while it reads: a size of 0 becomes 1, a negative one positive. So geometry is taken from the
bytes before that, and nothing that nobody set comes out as a millimetre.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.api.errors import DataError
from harness.api.reading import reading
from harness.api.scans.compressed import content_of, file_bytes, first_bytes, packing_of
from harness.api.scans.geometry import ALIKE, Geometry, Header, Steps, geometry_of

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header, Nifti1Image

UNITS = {0: "", 1: "m", 2: "mm", 3: "micron"}
"""What the three lowest bits of xyzt_units say."""

LARGEST_HEADER = 540


def read_nifti(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Voxels [X, Y, Z] as they lie, and where. Raises `DataError` with the file for whatever is wrong with it."""
    with reading(path):
        raw = file_bytes(path)
        kind, header = _header(raw)
        content = content_of(raw, _wanted(header), packing_of(raw))
        with np.errstate(all="ignore"):  # nibabel computes with sizes that may be no numbers
            voxels = np.asarray(kind.from_bytes(content).dataobj)
        voxels = voxels.reshape(voxels.shape[:3]) if all(side == 1 for side in voxels.shape[3:]) else voxels
        if voxels.ndim != 3:
            raise DataError(
                f"{path}: has {voxels.ndim} axes, a scan three: write each frame of a series as a file of its own"
            )
        return voxels, geometry_of(_fields(path, header))


def raw_header(path: Path) -> Nifti1Header:
    """The header as it stands in a file. Raises `DataError` with the file where it has none."""
    with reading(path):
        return _header(file_bytes(path))[1]


def _header(raw: bytes) -> tuple[type[Nifti1Image], Nifti1Header]:
    """The class of nibabel's that reads a file of this content, and its header without repairs."""
    import nibabel

    start = first_bytes(raw, LARGEST_HEADER)

    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # it prints what it repairs; that is reported here
    sizes = {int.from_bytes(start[:4], order) for order in ("little", "big")}
    kind = nibabel.Nifti2Image if LARGEST_HEADER in sizes else nibabel.Nifti1Image
    size = kind.header_class.sizeof_hdr
    if len(start) < size:
        raise EOFError(f"{len(start)} bytes, a header has {size}")
    return kind, kind.header_class(start[:size], check=False)


def _wanted(header: Nifti1Header) -> int:
    """Bytes up to the last voxel."""
    axes = int(header["dim"][0])
    sides = [int(side) for side in header["dim"][1 : axes + 1]]
    if not 1 <= axes <= 7 or min(sides) < 1:
        raise ValueError(f"its header says {axes} axes of {sides} voxels")
    item_bytes: int = header.get_data_dtype().itemsize
    return int(header["vox_offset"]) + math.prod(sides) * item_bytes


def _fields(path: Path, header: Nifti1Header) -> Header:
    sizes = np.asarray(header["pixdim"][1:4], np.float64)
    affine = _affine(header, sizes)
    code = int(header["xyzt_units"]) & 7
    unit = UNITS.get(code, f"code {code}")
    return Header(
        path=path,
        shape=tuple(int(side) for side in header["dim"][1:4]),
        field="pixdim",
        sizes=sizes,
        steps=None if affine is None else affine[:3, :3].T,
        origin=None if affine is None else affine[:3, 3],
        unit=unit,
        stated=bool(unit) and affine is not None,
    )


def _affine(header: Nifti1Header, sizes: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Indices to coordinates (right, anterior, superior), from sform, else from qform; None where neither is set.

    A unit sform beside a qform and other sizes was never set: all files of the official ACDC are so.
    """
    sform, qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    if sform and not (qform and _unit(header.get_sform()[:3, :3]) and not np.allclose(sizes, 1, rtol=0, atol=ALIKE)):
        return np.asarray(header.get_sform(), np.float64)
    if qform and np.isfinite(sizes).all() and (sizes > 0).all():
        return np.asarray(header.get_qform(), np.float64)
    return None


def _unit(steps: Steps) -> bool:
    """Whether each axis steps by 1 along one coordinate."""
    return bool(np.allclose(np.abs(steps).sum(axis=0), 1) and np.allclose(np.abs(steps).max(axis=0), 1))

"""Files whose headers say what a test wants, written byte by byte so that no library repairs them."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import nibabel
import numpy as np

from tests.data.small_la import write_nrrd

SHAPE = (6, 5, 4)
Affine = Sequence[Sequence[float]]


def diagonal(x, y, z, origin=(0, 0, 0)):
    """Rows of a transform that scales axes and puts the first voxel somewhere."""
    return [[x, 0, 0, origin[0]], [0, y, 0, origin[1]], [0, 0, z, origin[2]]]


@dataclass(frozen=True)
class Nifti:
    """Fields of a header; quatern is (b, c, d)."""

    pixdim: tuple[float, float, float] = (1.5, 1.5, 10.0)
    units: int = 2
    qform: int = 1
    sform: int = 0
    quatern: tuple[float, float, float] = (0, 0, 0)
    offset: tuple[float, float, float] = (0, 0, 0)
    qfac: float = 1.0
    rows: Affine = field(default_factory=lambda: diagonal(0, 0, 0))

    def write(self, path, voxels=None):
        """voxels: [X, Y, Z]; a ramp if there are none."""
        array = np.arange(120, dtype=np.int16).reshape(SHAPE) if voxels is None else voxels
        raw = bytearray(nibabel.Nifti1Image(array, np.eye(4)).to_bytes())
        struct.pack_into("<4f", raw, 76, self.qfac, *self.pixdim)
        raw[123] = self.units
        struct.pack_into("<2h6f", raw, 252, self.qform, self.sform, *self.quatern, *self.offset)
        struct.pack_into("<12f", raw, 280, *(value for row in self.rows for value in row))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(bytes(raw)) if path.suffix == ".gz" else bytes(raw))
        return path

    def but(self, **changes):
        return replace(self, **changes)


def nrrd(path, **changes):
    """An NRRD file of a ramp; names of fields with _ for a space."""
    array = np.arange(120, dtype=np.int16).reshape(SHAPE)
    return write_nrrd(path, array, {name.replace("_", " "): value for name, value in changes.items()})

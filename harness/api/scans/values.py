"""Voxels as they come out of a file: real numbers for an image, whole numbers for a label."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from harness.api.errors import DataError

WHOLE = 1e-3
"""Distance from a whole number up to which a label is taken for it: what arithmetic in single precision leaves."""

REAL = "biuf"
"""Kinds of numpy types that hold one real number a voxel."""


def require_real(voxels: NDArray[Any] | h5py.Dataset, path: Path, what: str) -> None:
    """Raise `DataError` unless a voxel holds one real number: no complex one, no colour, no text."""
    if voxels.dtype.kind not in REAL:
        held = "complex numbers" if voxels.dtype.kind == "c" else f"values of type {voxels.dtype}"
        raise DataError(f"{path}: {what} holds {held}; a voxel is one real number, write it anew as such")


def whole_labels(label: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """Labels as uint8, rounded where they are nearly whole.

    Raises `DataError` for any other value, and for one that uint8 would turn into another class.
    """
    require_real(label, path, "label")
    if label.dtype == np.uint8:
        return label
    with np.errstate(invalid="ignore"):
        whole = np.rint(label) if label.dtype.kind == "f" else label
        wrong = ~((whole >= 0) & (whole <= 255))
        if whole is not label:
            wrong |= ~(np.abs(label - whole) <= WHOLE)
    if wrong.any():
        raise DataError(f"{path}: label value {digits(label[wrong].flat[0])} is no class; correct the annotation")
    return whole.astype(np.uint8)


def digits(value: np.generic) -> str:
    """A number with as many digits as tell it from its neighbours: 0.99999994 and not 1."""
    if isinstance(value, np.floating):
        return np.format_float_positional(value, trim="-") if np.isfinite(value) else str(value)
    return str(value)

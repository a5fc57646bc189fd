"""Hashes of cases: equal hashes mean equal data."""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api.dataset import Case
from harness.api.strict import digest


def array_sha256(array: NDArray[Any]) -> str:
    """sha256 over element type, shape and little-endian bytes in C order."""
    portable = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    hasher = hashlib.sha256(f"{portable.dtype.str}{portable.shape}".encode())
    hasher.update(portable.data)
    return hasher.hexdigest()


def case_sha256(case: Case, image_sha256: str | None = None) -> str:
    """sha256 over everything that a case says, but how its phase is known.

    image_sha256: `array_sha256(case.image)` where it is known.
    """
    own = {"grid": case.grid} if case.grid else {}
    return digest(
        {
            "id": case.id,
            "patient": case.patient,
            "split": case.split,
            "phase": case.phase,
            "spacing_mm": case.spacing_mm,
            "image": image_sha256 or array_sha256(case.image),
            "label": array_sha256(case.label) if case.annotated else None,
            **own,
        }
    )

"""Hashes of cases and of whole caches: equal hashes mean equal data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api.dataset import Case
from harness.api.strict import digest
from harness.data.manifest import Manifest


def array_sha256(array: NDArray[Any]) -> str:
    """sha256 over element type, shape and little-endian bytes in C order."""
    portable = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    hasher = hashlib.sha256(f"{portable.dtype.str}{portable.shape}".encode())
    hasher.update(portable.data)
    return hasher.hexdigest()


def case_sha256(case: Case, image_sha256: str | None = None) -> str:
    """sha256 over everything that a case says: who, which split and phase, spacing, image and label.

    image_sha256: `array_sha256(case.image)` where it is already known. How the phase is known does not count.
    """
    return digest(
        {
            "id": case.id,
            "patient": case.patient,
            "split": case.split,
            "phase": case.phase,
            "spacing_mm": case.spacing_mm,
            "image": image_sha256 or array_sha256(case.image),
            "label": array_sha256(case.label),
        }
    )


def data_checksum(
    dataset: str,
    version: int,
    classes: Sequence[str],
    splits: Mapping[str, Sequence[str]],
    cases: Iterable[str],
) -> str:
    """Checksum of a cache: dataset and version, classes, splits in order, and the cases' hashes in any order."""
    return digest(
        {
            "dataset": dataset,
            "version": version,
            "classes": list(classes),
            "splits": {split: list(patients) for split, patients in splits.items()},
            "cases": sorted(cases),
        }
    )


def manifest_checksum(manifest: Manifest) -> str:
    """The checksum that a manifest's own content gives."""
    hashes = (case.sha256 for case in manifest.cases)
    return data_checksum(manifest.dataset, manifest.version, manifest.classes, manifest.splits, hashes)

"""A small left atrium: five patients, as whole volumes in the official layout and as crops in UA-MT's."""

from collections.abc import Mapping

import numpy as np

from benchmarks.la import LA
from benchmarks.la_label_free import LALabelFree
from harness.api import Split
from tests.data.small_acdc import write_h5

SHAPE = (176, 160, 12)
SPACING_MM = (0.625, 0.625, 1.25)
BODY = ((20, 160), (14, 150))
"""Rows and columns of the bright rectangle that stands for a chest."""

SPLITS: Mapping[Split, tuple[str, ...]] = {
    "train": ("06SR5RBREL16DQ6M8LWS", "0RZDK210BSMWAA6467LU", "1D7CUD1955YZPGK8XHJX"),
    "val": ("1GU15S0GJ6PFNARO469W",),
    "test": ("UPT6DX9IQY9JAZ7HJKA7",),
}
PATIENTS = tuple(patient for patients in SPLITS.values() for patient in patients)


class SmallLA(LA):
    splits = SPLITS


class SmallLALabelFree(LALabelFree):
    splits = SPLITS


def voxels(patient):
    """Grey values and marks (0 or 255) [X, Y, Z] uint8 of a whole volume: air, a chest, an atrium in it."""
    rng = np.random.default_rng(list(patient.encode()))
    grey = rng.integers(0, 12, SHAPE).astype(np.uint8)
    (x0, x1), (y0, y1) = BODY
    grey[x0:x1, y0:y1] = rng.integers(60, 90, (x1 - x0, y1 - y0, SHAPE[2]))
    marked = np.zeros(SHAPE, np.uint8)
    x, y = rng.integers(60, 80), rng.integers(50, 70)
    marked[x : x + 40, y : y + 30, 2:9] = 255
    grey[marked == 255] += 60
    return grey, marked


def cropped(patient):
    """What UA-MT would have written: whole-volume z-score, then a part of it."""
    grey, marked = voxels(patient)
    image = ((grey - grey.mean()) / grey.std()).astype(np.float32)
    return image[40:130, 30:120], (marked[40:130, 30:120] == 255).astype(np.uint8)


def write_ua_mt(root, inner=""):
    for patient in PATIENTS:
        image, label = cropped(patient)
        write_h5(root / inner / patient / "mri_norm2.h5", image, label)
    (root / "train.list").write_text("".join(f"{patient}\n" for patient in (*SPLITS["train"], *SPLITS["val"])))
    (root / "test.list").write_text("".join(f"{patient}\n" for patient in SPLITS["test"]))
    return root


def write_nrrd(path, array, changes=None):
    """A raw NRRD file, written by hand from the format's definition; changes: header fields, None leaves one out."""
    kinds = {"uint8": "uchar", "int16": "short", "float32": "float", "float64": "double"}
    fields = {
        "type": kinds[array.dtype.name],
        "dimension": str(array.ndim),
        "space": "left-posterior-superior",
        "sizes": " ".join(map(str, array.shape)),
        "space directions": " ".join(
            "(" + ",".join(str(step if row == column else 0) for column in range(3)) + ")"
            for row, step in enumerate(SPACING_MM[: array.ndim])
        ),
        "kinds": " ".join(["domain"] * array.ndim),
        "endian": "little",
        "encoding": "raw",
        "space origin": "(0,0,0)",
        **(changes or {}),
    }
    header = "".join(f"{name}: {value}\n" for name, value in fields.items() if value is not None)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"NRRD0004\n{header}\n".encode() + array.tobytes(order="F"))
    return path


def write_official(root, inner=""):
    for patient in PATIENTS:
        grey, marked = voxels(patient)
        write_nrrd(root / inner / patient / "lgemri.nrrd", grey)
        write_nrrd(root / inner / patient / "laendo.nrrd", marked)
    return root

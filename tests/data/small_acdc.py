"""A small ACDC: five patients, written in both layouts from the same voxels."""

from typing import ClassVar

import h5py
import nibabel
import numpy as np

from benchmarks.acdc import ACDC

SPACING_MM = (10.0, 1.5, 1.25)
FRAMES = {  # frame numbers of ED and ES, as Info.cfg has them
    "patient099": (1, 9),
    "patient038": (1, 11),
    "patient090": (4, 11),
    "patient028": (1, 8),
    "patient011": (12, 1),  # ED after ES: sorted order and phase differ
}


class SmallACDC(ACDC):
    splits: ClassVar = {
        "train": ("patient099", "patient038", "patient090"),
        "val": ("patient028",),
        "test": ("patient011",),
    }


def voxels(patient, frame):
    """Grey values (Z, H, W) int16 and labels uint8 of one volume, all patients and frames different."""
    number = int(patient[-3:])
    rng = np.random.default_rng([number, int(frame[-1])])
    shape = (3 + number % 3, 20 + number % 4, 17)
    grey = rng.integers(3, 700, shape).astype(np.int16)
    label = np.zeros(shape, np.uint8)
    label[1:, 5:12, 4:12] = rng.integers(0, 4, (shape[0] - 1, 7, 8))
    return grey, label


def image_of(grey):
    """Min-max scaling in double precision, as in the distributed files."""
    values = grey.astype(np.float64)
    scaled = (values - values.min()) / (values.max() - values.min())
    return np.asarray(scaled, np.float32)


def write_h5(path, image, label=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("image", data=image, compression="gzip")
        if label is not None:
            file.create_dataset("label", data=label, compression="gzip")
    return path


def write_ssl4mis(root):
    listed: dict[str, list[str]] = {"train": [], "val": [], "test": [], "train_slices": []}
    for split, patients in SmallACDC.splits.items():
        for case in (f"{patient}_{frame}" for patient in patients for frame in ("frame01", "frame02")):
            listed[split].append(case)
            grey, label = voxels(*case.split("_"))
            image = image_of(grey)
            if split != "train":
                write_h5(root / "data" / f"{case}.h5", image, label)
                continue
            for z in range(len(image)):
                write_h5(root / "data" / "slices" / f"{case}_slice_{z + 1}.h5", image[z], label[z])
                listed["train_slices"].append(f"{case}_slice_{z + 1}")
    for name, lines in listed.items():
        (root / f"{name}.list").write_text("".join(f"{line}\n" for line in lines))
    return root


def write_nifti(path, array):
    """(Z, H, W) to disk as (X, Y, Z)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(array.transpose(2, 1, 0), np.diag([*SPACING_MM[::-1], 1.0]))
    nibabel.save(image, path)
    return path


def write_official(root):
    for patient, (ed, es) in FRAMES.items():
        for name, number in zip(("frame01", "frame02"), sorted((ed, es)), strict=True):
            grey, label = voxels(patient, name)
            stem = root / patient / f"{patient}_frame{number:02d}"
            write_nifti(stem.with_name(f"{stem.name}.nii.gz"), grey)
            write_nifti(stem.with_name(f"{stem.name}_gt.nii.gz"), label)
        info = f"ED: {ed}\nES: {es}\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"
        (root / patient / "Info.cfg").write_text(info)
    return root

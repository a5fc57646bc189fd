"""A small folder in nnU-Net's raw format, written with nibabel."""

import json

import nibabel
import numpy as np

SHAPE = (20, 18, 12)
SPACING = (1.5, 1.0, 1.0)
ENDING = ".nii.gz"


def write_nifti(path, voxels, spacing, flips=""):
    """flips: coordinates (xyz) along which the array runs backwards; spacing None: a header that says nothing."""
    signs = [-1 if axis in flips else 1 for axis in "xyz"]
    affine = np.diag([*(np.array(spacing or (1, 1, 1)) * signs), 1])
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm" if spacing else 0)
    if spacing is None:
        image.header.set_sform(affine, 0)
        image.header.set_qform(affine, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)


def voxels_of(id_, channels=1):
    """Image [C, X, Y, Z] and label [X, Y, Z] of a bright box, which lies nowhere as in another scan."""
    rng = np.random.default_rng(list(id_.encode()))
    label = np.zeros(SHAPE, np.uint8)
    x, y = rng.integers(3, 9, 2)
    label[x : x + 8, y : y + 6, 3:9] = 1
    label[x : x + 3, y : y + 6, 3:9] = 2
    label[rng.random(SHAPE) < 0.1] = 0
    smooth = np.kron(rng.normal(0, 40, (5, 5, 3)), np.ones((4, 4, 4)))[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    grey = [100 + 30 * k + smooth * (k + 1) + 80 * label + rng.normal(0, 5, SHAPE) for k in range(channels)]
    return np.stack(grey).astype(np.int16), label


def write_folder(root, cases, channels=("MRI",), spacing=lambda _: SPACING, **fields):
    """A folder with cases by part: Tr and Ts with labels, Un and those that end in "u" without."""
    for part, ids in cases.items():
        for id_ in ids:
            image, label = voxels_of(id_, len(channels))
            for number, grey in enumerate(image):
                write_nifti(root / f"images{part}" / f"{id_}_{number:04}{ENDING}", grey, spacing(id_))
            if part != "Un" and not id_.endswith("u"):
                write_nifti(root / f"labels{part}" / f"{id_}{ENDING}", label, spacing(id_))
    content = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": {"background": 0, "wall": 1, "pool": 2},
        "numTraining": len(cases["Tr"]),
        "file_ending": ENDING,
        **fields,
    }
    text = json.dumps({name: value for name, value in content.items() if value is not None})
    (root / "dataset.json").write_text(text)
    return root

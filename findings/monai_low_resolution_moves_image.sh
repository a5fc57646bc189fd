#!/usr/bin/env bash
# MONAI 1.6.1: RandSimulateLowResolution, which "corresponds to nnU-Net's", is to blur an image by taking it to a coarser
# grid and back. It also moves it, always to higher indices along every axis: by half a voxel even at a zoom of 0.9, by
# 1.5 at 0.25. It is applied to the image alone, so the label map stays behind, and no draw moves the other way.
# The cause: it goes down by torch's "nearest", which takes the first of the voxels that merge, and up by "trilinear", about
# centres. nnU-Net's own (batchgeneratorsv2 0.3.6) goes down by "nearest-exact", and stays where it was, but for half a voxel
# the other way where the grid is exactly 2 or 4 times coarser. downsample_mode="nearest-exact" makes MONAI's do the same.
# Prints how far the centre of mass of a blob moves by zoom, in voxels, and fails if that changes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile torch==2.13.0 numpy==2.3.5
"$work/venv/bin/pip" install -q --no-compile --no-deps monai==1.6.1 batchgeneratorsv2==0.3.6
cat >"$work/run.py" <<'PY'
import numpy as np
import torch
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from monai.transforms import RandSimulateLowResolution

axis = torch.arange(48.0)
blob = torch.exp(-sum((a - c) ** 2 for a, c in zip(torch.meshgrid(axis, axis, axis, indexing="ij"), (22, 24, 26))) / 50)[None]


def moved(image):
    image = np.asarray(image[0], dtype=float)
    return [round(float((image * i).sum() / image.sum()) - c, 2) for i, c in zip(np.indices(image.shape), (22, 24, 26))]


for zoom, least in ((0.9, 0.5), (0.7, 0.6), (0.6, 0.7), (0.25, 1.4)):
    monai = moved(RandSimulateLowResolution(prob=1, zoom_range=(zoom, zoom))(blob.clone()))
    exact = moved(RandSimulateLowResolution(prob=1, zoom_range=(zoom, zoom), downsample_mode="nearest-exact")(blob.clone()))
    nnunet = moved(SimulateLowResolutionTransform(zoom, True, True, None)(image=blob.clone())["image"])
    print(f"zoom {zoom}: MONAI {monai}, nearest-exact {exact}, nnU-Net {nnunet}")
    assert min(monai) > least, monai
    assert max(abs(by) for by in exact + nnunet) < (0.1 if zoom != 0.25 else 0.51), (exact, nnunet)
print("as found: MONAI's moves the image away from its labels")
PY
"$work/venv/bin/python" "$work/run.py"

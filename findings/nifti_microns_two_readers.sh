#!/usr/bin/env bash
# A NIfTI file may give its voxel sizes in microns or metres (xyzt_units). nibabel 5.4.2 hands the numbers on as they
# stand, although its documentation calls the affine's space millimetres; SimpleITK 2.5.3 converts them. So one valid
# file has voxels of 1,250 in one reader and of 1.25 mm in the other, and surface distances differ a thousandfold.
# Prints what each reader says, and fails if that changes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q nibabel==5.4.2 SimpleITK==2.5.3 numpy==2.3.5
cat >"$work/run.py" <<'PY'
import sys

import nibabel
import numpy as np
import SimpleITK

seen = {}
for unit, size in (("mm", 1.25), ("micron", 1250.0), ("meter", 0.00125)):
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.diag([size, size, size, 1]))
    image.header.set_xyzt_units(unit)
    image.set_qform(image.affine, 1)
    image.set_sform(image.affine, 1)
    path = f"{sys.argv[1]}/{unit}.nii.gz"
    nibabel.save(image, path)
    read = nibabel.load(path)
    sizes = nibabel.affines.voxel_sizes(read.affine)
    spacing = SimpleITK.ReadImage(path).GetSpacing()
    seen[unit] = (round(float(sizes[0]), 5), round(spacing[0], 5))
    print(f"{unit:7} header unit {read.header.get_xyzt_units()[0]:7} nibabel {seen[unit][0]:10g}   SimpleITK {seen[unit][1]:g} mm")
assert seen == {"mm": (1.25, 1.25), "micron": (1250.0, 1.25), "meter": (0.00125, 1.25)}, seen
print("as found: nibabel ignores the unit, SimpleITK converts it")
PY
"$work/venv/bin/python" "$work/run.py" "$work"

#!/usr/bin/env bash
# SimpleITK 2.5.7: an ImageFileWriter that is told "MetaImageIO" and a name without .mha or .mhd does not write that name.
# It drops what looks like an ending, writes STEM.mhd and STEM.raw, and reports success. A write to "case.part", to be
# renamed once whole, so leaves no "case.part", and replaces a finished case.mhd and case.raw beside it. NrrdImageIO writes
# the very name it is given, and NiftiImageIO refuses one without an ending of its own.
# Prints what lies in the folder before and after, and fails if that changes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q simpleitk==2.5.7 numpy==2.3.5
cat >"$work/run.py" <<'PY'
import os
import sys

import numpy as np
import SimpleITK as sitk


def image(value):
    return sitk.GetImageFromArray(np.full((2, 3, 4), value, np.int16))


def write(name, io):
    writer = sitk.ImageFileWriter()
    writer.SetImageIO(io)
    writer.SetFileName(name)
    writer.Execute(image(7))
    print(f"{io} to {name}: no error; the folder holds {sorted(os.listdir())}")


os.chdir(sys.argv[1])
sitk.WriteImage(image(1), "case.mhd")
write("case.part", "MetaImageIO")
assert sorted(os.listdir()) == ["case.mhd", "case.raw"], os.listdir()
finished = int(sitk.GetArrayFromImage(sitk.ReadImage("case.mhd")).max())
print(f"the finished case.mhd held 1, and now holds {finished}")
assert finished == 7
write("other.part", "NrrdImageIO")
assert "other.part" in os.listdir()
try:
    write("third.part", "NiftiImageIO")
except RuntimeError as error:
    print(f"NiftiImageIO to third.part: {str(error).strip().splitlines()[-1].split(': ', 1)[-1]}")
else:
    raise AssertionError("NiftiImageIO took the name")
print("as found: MetaImageIO writes another file than it was told, over one that was there")
PY
mkdir "$work/scans"
"$work/venv/bin/python" "$work/run.py" "$work/scans"

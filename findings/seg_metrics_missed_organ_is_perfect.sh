#!/usr/bin/env bash
# seg-metrics 1.2.8: where only one of the two label maps lacks a label, its surface distances (hd, hd95, msd, mdsd, stdsd)
# are 0, those of a perfect segmentation. Nothing is raised, and no warning names them (one names precision and recall).
# A missed organ has infinite distance, or none: MedPy raises RuntimeError, and inf is what others give. So the mean
# distance over patients falls with every organ that a model misses, or invents: here a model that is 4 voxels off in
# each of 4 patients loses to one that is as far off in one and finds nothing in the others.
# Prints the metrics by kind of prediction and the means of both models, and fails if they change.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile seg-metrics==1.2.8 MedPy==0.5.2 SimpleITK==2.5.7 numpy==2.3.5
cat >"$work/run.py" <<'PY'
import medpy.metric
import numpy as np
from seg_metrics.seg_metrics import write_metrics

truth = np.zeros((24, 24, 24), np.uint8)
truth[8:16, 8:16, 8:16] = 1
off, nothing = np.roll(truth, 4, 0), np.zeros_like(truth)


def score(predicted, reference):
    found = write_metrics(labels=[1], gdth_img=reference, pred_img=predicted, metrics=["dice", "hd", "hd95", "msd"])[0]
    return {name: float(found[name][0]) for name in ("dice", "hd", "hd95", "msd")}


seen = {"perfect": score(truth, truth), "off": score(off, truth), "missed": score(nothing, truth)}
seen["invented"] = score(truth, nothing)
for name, found in seen.items():
    print(f"{name:9}", {key: round(value, 2) for key, value in found.items()})
for name in ("missed", "invented"):
    assert seen[name] == {"dice": 0, "hd": 0, "hd95": 0, "msd": 0}
try:
    print("MedPy, missed:", medpy.metric.hd95(nothing, truth))
except RuntimeError as error:
    print("MedPy, missed: RuntimeError,", error)
else:
    raise AssertionError("MedPy gave a distance")
means = [np.mean([seen[name]["hd95"] for name in names]) for names in (["off"] * 4, ["off"] + ["missed"] * 3)]
print(f"mean hd95, 4 voxels off in all patients: {means[0]}; nothing found in 3 of 4: {means[1]}")
assert means == [4, 1]
print("as found: a missed or invented organ has distance 0")
PY
"$work/venv/bin/python" "$work/run.py"

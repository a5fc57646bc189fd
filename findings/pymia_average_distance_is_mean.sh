#!/usr/bin/env bash
# pymia 0.3.4: AverageDistance documents AVD(A,B) = max(d(A,B), d(B,A)), the formula of Taha and Hanbury's EvaluateSegmentation,
# and returns the mean of the two. It hands on what SimpleITK (2.5.7) calls the average Hausdorff distance, which is that
# mean. So the value is up to two times too small: exactly half wherever one mask lies within the other, as with a
# prediction that is right but for a false island, or that misses one of two lesions.
# Prints both directed distances (from scipy), what is documented and what comes, and fails if that changes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile pymia==0.3.4 simpleitk==2.5.7 scikit-image==0.26.0 scipy==1.17.1 numpy==2.3.5
cat >"$work/run.py" <<'PY'
import numpy as np
from pymia.evaluation.metric import AverageDistance
from scipy.ndimage import distance_transform_edt

spacing = (3.0, 1.0, 1.0)


def directed(source, target):
    """Mean over the voxels of `source` of the distance to the nearest one of `target`."""
    return float(distance_transform_edt(target == 0, sampling=spacing)[source > 0].mean())


truth = np.zeros((16, 32, 32), np.uint8)
truth[3:8, 5:15, 5:15] = 1
island = truth.copy()
island[12:14, 25:28, 25:28] = 1
lesions = truth.copy()
lesions[10:14, 20:28, 20:28] = 1

for name, predicted, reference in (
    ("false island", island, truth),
    ("missed lesion", truth, lesions),
    ("shifted", np.roll(truth, 4, 1), truth),
):
    metric = AverageDistance()
    metric.prediction, metric.reference, metric.spacing = predicted, reference, spacing
    came = metric.calculate()
    there, back = directed(predicted, reference), directed(reference, predicted)
    print(f"{name:14} directed {there:.3f} and {back:.3f}: documented {max(there, back):.3f}, pymia {came:.3f}")
    assert abs(came - (there + back) / 2) < 1e-4 * came
    assert name == "shifted" or abs(max(there, back) - 2 * came) < 1e-4 * came
print("as found: the mean of both directions, not their maximum")
PY
"$work/venv/bin/python" "$work/run.py"

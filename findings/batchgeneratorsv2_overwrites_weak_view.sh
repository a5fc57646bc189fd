#!/usr/bin/env bash
# batchgeneratorsv2 0.3.6: a transform returns the image, and some overwrite the one they were given while others do not.
# Intensity transforms and low resolution overwrite, mirroring copies. So a pair of views made as
# strong = transform(image=weak)["image"] is the strong view twice, and a consistency loss between them is 0 from the
# start. nnU-Net itself makes one view, and never sees this.
# Prints which of six transforms overwrite the given image, and fails if that changes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy==2.3.5
"$work/venv/bin/pip" install -q --no-deps batchgeneratorsv2==0.3.6
cat >"$work/run.py" <<'PY'
import numpy as np
import torch
from batchgeneratorsv2.transforms.intensity.brightness import MultiplicativeBrightnessTransform
from batchgeneratorsv2.transforms.intensity.contrast import ContrastTransform
from batchgeneratorsv2.transforms.intensity.gamma import GammaTransform
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform
from batchgeneratorsv2.transforms.spatial.low_resolution import SimulateLowResolutionTransform
from batchgeneratorsv2.transforms.spatial.mirroring import MirrorTransform

torch.manual_seed(0)
np.random.seed(0)
strong_transforms = {
    "noise": GaussianNoiseTransform(0.1),
    "brightness": MultiplicativeBrightnessTransform(1.5, synchronize_channels=True),
    "contrast": ContrastTransform(1.3, preserve_range=True, synchronize_channels=True),
    "gamma": GammaTransform(1.3, p_invert_image=0, synchronize_channels=True, p_per_channel=1, p_retain_stats=1),
    "low_resolution": SimulateLowResolutionTransform(0.5, True, True, None),
    "mirroring": MirrorTransform((0,)),
}
overwritten = []
for name, transform in strong_transforms.items():
    weak = torch.rand(1, 32, 32)
    before = weak.clone()
    while torch.equal(strong := transform(image=weak)["image"], before):
        pass  # mirroring leaves half of its images as they are
    if not torch.equal(weak, before):
        assert torch.equal(weak, strong)
        overwritten.append(name)
print(*overwritten)
PY
"$work/venv/bin/python" "$work/run.py" | tee "$work/overwritten.txt"
test "$(cat "$work/overwritten.txt")" = "noise brightness contrast gamma low_resolution"
echo "as found: the weak view is overwritten by five of six transforms"

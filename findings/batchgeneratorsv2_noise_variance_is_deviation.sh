#!/usr/bin/env bash
# batchgeneratorsv2 0.3.6, as nnU-Net calls it: GaussianNoiseTransform(noise_variance=v) adds noise of *deviation* v, so of
# variance v^2. nnU-Net's (0, 0.1) is noise of deviation up to 0.1 where the paper and the parameter say variance up to
# 0.1, deviation up to 0.32: three times weaker, and ten times for v = 0.01. MONAI's RandGaussianNoise(std=...) of the same
# number is the same noise.
# Prints the variance of the added noise for three values of noise_variance, and fails if it changes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy==2.3.5
"$work/venv/bin/pip" install -q --no-deps batchgeneratorsv2==0.3.6
cat >"$work/run.py" <<'PY'
import torch
from batchgeneratorsv2.transforms.intensity.gaussian_noise import GaussianNoiseTransform

torch.manual_seed(0)
for asked in (0.01, 0.1, 0.5):
    added = GaussianNoiseTransform(noise_variance=asked, p_per_channel=1)(image=torch.zeros(1, 512, 512))["image"]
    print(f"noise_variance {asked}: variance {added.var():.6f}, deviation {added.std():.4f}")
    assert abs(added.std().item() / asked - 1) < 0.02, added.std()
print("as found: noise_variance is the standard deviation")
PY
"$work/venv/bin/python" "$work/run.py"

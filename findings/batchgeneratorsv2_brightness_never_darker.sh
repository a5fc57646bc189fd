#!/usr/bin/env bash
# batchgeneratorsv2 (nnU-Net's augmentation) 0.3.6: BrightnessAdditiveTransform(mu, sigma) with its default, one shift for
# all channels, draws the shift uniformly from [mu, sigma], though its text says a Gaussian of mean mu and deviation sigma
# and 0.3.0 drew that. With (0, 0.5) no image becomes darker any more, the mean shift is 0.25 in place of 0, and a mean
# above the deviation raises AssertionError.
# Prints the range, mean and deviation of 4,000 shifts of an image with one channel by version, and fails if they change.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy==2.3.5
cat >"$work/run.py" <<'PY'
import numpy as np
import torch
from batchgeneratorsv2.transforms.intensity.brightness import BrightnessAdditiveTransform


torch.manual_seed(0)
np.random.seed(0)
transform = BrightnessAdditiveTransform(0, 0.5)
drawn = np.array([transform(image=torch.zeros(1, 2, 2))["image"][0, 0, 0].item() for _ in range(4000)])
darker = (drawn < 0).mean()
print(f"{drawn.min():.3f} to {drawn.max():.3f}, mean {drawn.mean():.3f}, deviation {drawn.std():.3f}")
print("darker" if 0.45 < darker < 0.55 else "never darker" if darker == 0 else "odd")
try:
    BrightnessAdditiveTransform(1, 0.5)(image=torch.zeros(1, 2, 2))
    print("accepted")
except AssertionError:
    print("refused")
PY
for version in 0.3.0 0.3.6; do
    "$work/venv/bin/pip" install -q --no-deps --target "$work/$version" "batchgeneratorsv2==$version"
    echo "$version:"
    PYTHONPATH="$work/$version" "$work/venv/bin/python" "$work/run.py" | tee "$work/$version.txt"
done
words() { grep -E '^(darker|never darker|odd|accepted|refused)$' "$work/$1.txt" | paste -sd,; }
test "$(words 0.3.0)" = darker,accepted
test "$(words 0.3.6)" = "never darker,refused"
echo "as found: since 0.3.0 the shift is uniform between the mean and the deviation"

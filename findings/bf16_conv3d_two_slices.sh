#!/usr/bin/env bash
# torch 2.13.0 on a CPU with AVX512_BF16: the weight gradient of a 3x3x3 convolution with padding 1 in bfloat16 is
# garbage (up to 1e36 times the right one, or nan) where the input's first spatial axis has exactly 2 voxels, and nothing
# is raised. With 1, 3 or 4 voxels there, or 2 along another axis, it is right to three digits, as is the gradient of
# the input. A V-Net comes to such maps from patches of 16 or 32 voxels.
# Prints the largest error relative to float32 by shape, and fails if that changes.
set -euo pipefail
grep -qw avx512_bf16 /proc/cpuinfo || { echo "needs a processor with avx512_bf16"; exit 1; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torch==2.13.0 numpy==2.3.5
cat >"$work/run.py" <<'PY'
import torch
from torch.nn.functional import conv3d

torch.manual_seed(0)
torch.set_num_threads(1)


def weight_gradient(x: torch.Tensor, w: torch.Tensor, out: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    w = w.clone().to(kind).requires_grad_()
    conv3d(x.to(kind), w, padding=1).backward(out.to(kind))
    return w.grad.float()


errors = {}
for shape in [(1, 4, 4), (2, 4, 4), (3, 4, 4), (4, 4, 4), (4, 2, 4), (4, 4, 2)]:
    x, w, out = torch.randn(4, 32, *shape), 0.05 * torch.randn(32, 32, 3, 3, 3), torch.randn(4, 32, *shape)
    right, found = (weight_gradient(x, w, out, kind) for kind in (torch.float32, torch.bfloat16))
    errors[shape] = ((found - right).abs().max() / right.abs().max()).item()
    print(shape, f"{errors[shape]:.3g}")
wrong = errors.pop((2, 4, 4))
assert not wrong < 0.1, wrong
assert max(errors.values()) < 0.02, errors
print("as found: two voxels along the first axis give wrong weight gradients")
PY
"$work/venv/bin/python" "$work/run.py"

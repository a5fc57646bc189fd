#!/usr/bin/env bash
# GeneralizedDiceScore of torchmetrics 1.9.0 gives other scores for the same label maps when the images of a batch change
# places, or come one by one, as soon as one of them lacks a class. Here the first image lacks class 2 and the prediction
# invents a square of it; the second one is predicted perfectly. A metric that is a mean over images should not care.
# With weight_type "linear" it does not. Prints both ways, in both orders, and fails if that changes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q torchmetrics==1.9.0 torch==2.13.0 numpy==2.3.5
cat >"$work/run.py" <<'PY'
import torch
from torchmetrics.segmentation import GeneralizedDiceScore


def scan(squares: dict[int, tuple[int, int]]) -> torch.Tensor:
    """A label map [1, 32, 32]: class -> corner and side of its square."""
    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    for name, (corner, side) in squares.items():
        labels[0, corner : corner + side, corner : corner + side] = name
    return labels


lacking = (scan({1: (4, 8), 2: (20, 6)}), scan({1: (4, 8)}))  # prediction, truth
whole = (scan({1: (4, 8), 2: (20, 4)}),) * 2


def score(images, batch: int, weight_type: str) -> float:
    metric = GeneralizedDiceScore(3, include_background=False, weight_type=weight_type, input_format="index")
    predicted, truth = (torch.cat(maps) for maps in zip(*images))
    for start in range(0, len(images), batch):
        metric.update(predicted[start : start + batch], truth[start : start + batch])
    return round(float(metric.compute()), 3)


for weight_type in ("square", "simple", "linear"):
    orders = [lacking, whole], [whole, lacking]
    found = {(batch, place): score(images, batch, weight_type) for batch in (2, 1) for place, images in enumerate(orders)}
    print(f"{weight_type}: one batch {found[2, 0]} and {found[2, 1]}, one by one {found[1, 0]} and {found[1, 1]}")
    expected = {"square": (0.89, 0.591, 1.0, 1.0), "simple": (0.89, 0.735, 1.0, 1.0), "linear": (0.89,) * 4}
    assert tuple(found.values()) == expected[weight_type], found
print("as found: the score hangs on order and batch size")
PY
"$work/venv/bin/python" "$work/run.py"

"""Whole-volume inference: label maps at native resolution, slice by slice in 2D and window by window in 3D."""

from harness.predict.components import keep_largest
from harness.predict.eval_mode import inference
from harness.predict.nearest import nearest_indices
from harness.predict.slices import predict_labels
from harness.predict.windows import predict_volume, require_monai, stride_of, window_scores

__all__ = [
    "inference",
    "keep_largest",
    "nearest_indices",
    "predict_labels",
    "predict_volume",
    "require_monai",
    "stride_of",
    "window_scores",
]

"""What an author of a method or a dataset imports: contracts, networks, losses, teachers, mixing, strong views, errors.

    from harness.api import Batch, Loss, Method, backbone, ema_update, supervised_loss, teacher_of

Each name lives in a module of this package, whose text says more. They are imported when first asked for, since most of
them need torch. Nothing here imports another package of ours.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.api.components import largest_components
    from harness.api.consistency import ConsistencyParams, clipped_noise, ema_decay, ema_update, teacher_of
    from harness.api.dataset import Case, CaseSource, Dataset, Split, Task, read_split
    from harness.api.errors import DataError, UsageError
    from harness.api.losses import Loss, dice_loss, masked_dice_loss, nnunet_loss, supervised_loss
    from harness.api.method import Batch, BatchPlan, Method, Stage
    from harness.api.mixing import Mixed, box_mask, classmix, cutmix, half_boxes, pseudo_label
    from harness.api.networks import Backbone, backbone, second_decoder, third_decoder
    from harness.api.params import Alteration, Dimension, MethodParams, OptimiserSettings, hyper
    from harness.api.progress import Progress, poly, ramp_up, staircase
    from harness.api.staged import StagedParams, rate, share
    from harness.api.views import Strength, StrongParams, strong
    from harness.api.warm_start import WarmStart, WarmStartParams

__all__ = [
    "Alteration",
    "Backbone",
    "Batch",
    "BatchPlan",
    "Case",
    "CaseSource",
    "ConsistencyParams",
    "DataError",
    "Dataset",
    "Dimension",
    "Loss",
    "Method",
    "MethodParams",
    "Mixed",
    "OptimiserSettings",
    "Progress",
    "Split",
    "Stage",
    "StagedParams",
    "Strength",
    "StrongParams",
    "Task",
    "UsageError",
    "WarmStart",
    "WarmStartParams",
    "backbone",
    "box_mask",
    "classmix",
    "clipped_noise",
    "cutmix",
    "dice_loss",
    "ema_decay",
    "ema_update",
    "half_boxes",
    "hyper",
    "largest_components",
    "masked_dice_loss",
    "nnunet_loss",
    "poly",
    "pseudo_label",
    "ramp_up",
    "rate",
    "read_split",
    "second_decoder",
    "share",
    "staircase",
    "strong",
    "supervised_loss",
    "teacher_of",
    "third_decoder",
]

_MODULES = (
    *("errors", "dataset", "params", "progress", "losses", "method", "staged", "networks", "components"),
    *("consistency", "mixing", "views", "warm_start"),
)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - classes and functions of many kinds
    """Import a name from the first of the modules that has it."""
    if name in __all__:
        for module in _MODULES:
            content = vars(importlib.import_module(f"{__name__}.{module}"))
            if name in content:
                return content[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The names that are offered."""
    return __all__

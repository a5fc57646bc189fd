"""Settings that the engine and a method share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.api.strict import Strict

Alteration = Literal["mixed", "altered"]
"""What may happen to an image after the engine's augmentation. mixed: every pixel is that of some image of the batch,
in its place (cutmix, classmix); altered: anything else (jitter, blur, noise, warps, crops)."""


class OptimiserSettings(Strict):
    """SGD, the field's optimiser; the learning rate is the value at progress 0 of each stage."""

    learning_rate: float = Field(0.01, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(1e-4, ge=0)
    schedule: Literal["poly", "constant"] = "poly"
    poly_power: float = Field(0.9, gt=0)

"""Hyper-parameters of ACTION's three stages."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from harness.api.params import Alteration, MethodParams, hyper
from methods.action_parts.anatomical import AnatomicalSettings
from methods.action_parts.temperature import Constant, Temperature


class ActionParams(MethodParams):
    """ACTION's; the defaults are the paper's, where it gives any, or the release's."""

    share_global: float = hyper(1 / 6, "share of the budget for stage i; 0 leaves it out", ge=0, le=1)
    share_local: float = hyper(1 / 6, "share of the budget for stage ii; 0 leaves it out", ge=0, le=1)
    share_anatomical: float = hyper(2 / 3, "share of the budget for stage iii", gt=0, le=1)
    ema_decay: float = hyper(
        0.99, "the teacher's decay per step", ge=0, le=1, search=(0.9, 0.99, 0.999), scale="choice"
    )
    bank: int = hyper(36, "images in each memory bank", ge=2)
    window_border: bool = hyper(True, "False: leave out the last window of each axis, as the 2D release")
    dimension: int = hyper(128, "d, of a pixel's representation", ge=2, search=(16, 128), scale="choice")
    strong: bool = hyper(True, "jitter and blur what the student sees; False: nothing but the weak view")
    mixing: Literal["classmix", "cutmix", "none"] = hyper("cutmix", "how unlabelled images are mixed in stage iii")
    confident: float = hyper(0.97, "theta: confidence that a pseudo label needs to weigh its image", ge=0, le=1)
    valid_above: float = hyper(0.7, "confidence from which a pseudo-labelled pixel joins L_anco", ge=0, le=1)
    hard_below: float = hyper(0.97, "probability under which a pixel is a hard query", ge=0, le=1)
    queries: int = hyper(256, "queries of a class in L_anco", ge=1)
    keys: int = hyper(512, "negative keys of a class in L_anco", ge=1)
    per_query: bool = hyper(False, "True: keys of its own for each query, as the release")
    unsupervised_weight: float = hyper(1.0, "weight of L_unsup", ge=0)
    contrast_weight: float = hyper(0.01, "weight of each contrast of stage iii", ge=0, search=(1e-3, 1.0), scale="log")
    student_temperature: Temperature = hyper(Constant(tau=0.1), "of the student's similarities in stages i and ii")
    teacher_temperature: Temperature = hyper(Constant(tau=0.01), "of the teacher's")
    anatomical_temperature: Temperature = hyper(Constant(tau=0.5), "of L_anco")

    @property
    def anatomical(self) -> AnatomicalSettings:
        """What L_anco samples."""
        return AnatomicalSettings(self.queries, self.keys, self.hard_below, self.per_query)

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        """What happens to the student's images, as a method declares it."""
        mixed: tuple[Alteration, ...] = () if self.mixing == "none" else ("mixed",)
        return (*mixed, "altered") if self.strong else mixed

    @model_validator(mode="after")
    def _whole_budget(self) -> ActionParams:
        total = self.share_global + self.share_local + self.share_anatomical
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"share_global, share_local and share_anatomical must add up to 1, not to {total:g}")
        return self
